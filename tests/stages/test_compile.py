from pathlib import Path

import pytest

from runner.core.artifacts import OnnxModel, TensorSpec
from runner.core.errors import ExportError
from runner.stages.compile import CompileSpec, compile
from runner.tools.tool import Placement

INPUTS = (TensorSpec("x", "float32", (2,)),)
OUTPUTS = (TensorSpec("y", "float32", (2,)),)


DIRECT = CompileSpec(
    compiler=None,
    compiler_version="",
    placement=Placement(soc="cpu", kind="cpu", devices=(0,)),
    batch=4,
    flags={},
    aipp=None,
)


def onnx(batch: int | None) -> OnnxModel:
    return OnnxModel(path=Path("/m.onnx"), sha256="digest", opset=11, batch=batch, inputs=INPUTS, outputs=OUTPUTS)


@pytest.mark.parametrize("batch", [None, 4])
def test_a_tool_that_loads_onnx_gets_the_model_itself(tmp_path, batch) -> None:
    compiled = compile(DIRECT, onnx(batch), tmp_path)
    assert (compiled.path, compiled.sha256, compiled.batch, compiled.argv) == (Path("/m.onnx"), "digest", 4, ())


def test_a_model_fixed_to_another_batch_is_refused(tmp_path) -> None:
    with pytest.raises(ExportError, match="fixed to batch 1, the run asks for 4"):
        compile(DIRECT, onnx(1), tmp_path)

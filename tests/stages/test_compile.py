from pathlib import Path

import pytest

from runner.artifacts import OnnxModel, TensorSpec
from runner.errors import ExportError
from runner.stages.compile import CompileSpec, compile
from runner.tools import Placement

INPUTS = (TensorSpec("x", "float32", (2,)),)
OUTPUTS = (TensorSpec("y", "float32", (2,)),)


DIRECT = CompileSpec(None, "", Placement("cpu", "cpu", (0,)), 4, {}, None)


def onnx(batch: int | None) -> OnnxModel:
    return OnnxModel(Path("/m.onnx"), "digest", 11, batch, INPUTS, OUTPUTS)


@pytest.mark.parametrize("batch", [None, 4])
def test_a_tool_that_loads_onnx_gets_the_model_itself(tmp_path, batch) -> None:
    compiled = compile(DIRECT, onnx(batch), tmp_path)
    assert (compiled.path, compiled.sha256, compiled.batch, compiled.argv) == (Path("/m.onnx"), "digest", 4, ())


def test_a_model_fixed_to_another_batch_is_refused(tmp_path) -> None:
    with pytest.raises(ExportError, match="fixed to batch 1, the run asks for 4"):
        compile(DIRECT, onnx(1), tmp_path)

from dataclasses import replace
from pathlib import Path

import pytest

from runner.config.callables import Target
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
    compiled = compile(DIRECT, onnx(batch), out=tmp_path)
    assert (compiled.path, compiled.sha256, compiled.batch, compiled.argv) == (Path("/m.onnx"), "digest", 4, ())


def test_a_model_fixed_to_another_batch_is_refused(tmp_path) -> None:
    with pytest.raises(ExportError, match="fixed to batch 1, the run asks for 4"):
        compile(DIRECT, onnx(1), out=tmp_path)


@pytest.mark.parametrize(
    ("batch", "shape", "is_static"), [(4, (2, 3), True), (None, (2, 3), False), (4, (2, -1), False)]
)
def test_a_model_is_static_if_batch_and_sizes_are_fixed(tmp_path, monkeypatch, batch, shape, is_static) -> None:
    requests = []

    class Recorder:
        def compile(self, request, out):
            requests.append(request)
            out.touch()
            return out

        def commands(self, request, out):
            return [("recorder",)]

    monkeypatch.setattr("runner.stages.compile.targets.call", lambda target: Recorder())
    model = replace(onnx(batch), inputs=(INPUTS[0].at(shape),))
    compile(replace(DIRECT, compiler=Target("a.b")), model, out=tmp_path)
    assert requests[0].is_static == is_static

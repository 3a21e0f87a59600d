"""Models whose inputs have free sizes, from the export to the outputs of samples of any shape."""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest

from runner.config import permissions
from runner.config.callables import Target
from runner.core import FREE, CompiledModel, ExportError, OnnxModel, Placement, TensorSpec, Timing
from runner.data import Normalisation, predictions
from runner.measure import MeasuringLimits
from runner.stages.benchmark import BenchmarkSpec, benchmark
from runner.stages.compile import CompileSpec, compile
from runner.stages.infer import InferSpec, infer
from runner.stages.simplify import SimplifySpec, simplify
from runner.tools import CompileRequest
from tests.stages.free_sizes import FREE_INPUT, OUTPUTS, AnySize, Export, expected, pictures, stored

CPU = Placement(soc="cpu", kind="cpu", devices=(0,))
IDENTITY = Normalisation(1.0, (0.0,), (1.0,))
SIZES = ((8, 12), (8, 12), (10, 6), (7, 9), (7, 9), (7, 9))


def axes(model: OnnxModel) -> list[int | str]:
    dimensions = onnx.load(model.path).graph.input[0].type.tensor_type.shape.dim
    return [each.dim_param or each.dim_value for each in dimensions]


def run(model: OnnxModel, images: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
    return list(session.run(list(OUTPUTS), {"image": images}))


def assert_like_torch(model: OnnxModel, network: AnySize, count: int) -> None:
    for size in ((8, 12), (33, 47)):
        images = np.stack(pictures(*[size] * count))
        for got, wanted in zip(run(model, images), expected(network, images), strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("opset", [11, 13])
def test_an_exported_model_takes_pictures_of_any_size(export_any_size: Export, any_size: AnySize, opset: int) -> None:
    model = export_any_size(opset)
    assert axes(model) == ["batch", 3, "image_2", "image_3"]
    assert_like_torch(model, any_size, 3)


def test_sizes_of_outputs_that_follow_the_inputs_are_free(export_any_size: Export) -> None:
    model = export_any_size()
    assert model.inputs == (FREE_INPUT,)
    assert model.outputs == (
        TensorSpec("map", "float32", (4, FREE, FREE)),
        TensorSpec("scores", "float32", (4,)),
    )


def test_a_fixed_batch_leaves_the_sizes_free(export_any_size: Export, any_size: AnySize) -> None:
    model = export_any_size(batch=2)
    assert axes(model) == [2, 3, "image_2", "image_3"]
    assert_like_torch(model, any_size, 2)


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("batch", [None, 2])
def test_a_simplified_model_takes_pictures_of_any_size(
    export_any_size: Export, any_size: AnySize, tmp_path: Path, opset: int, batch: int | None
) -> None:
    model = simplify(SimplifySpec(True, batch, ()), export_any_size(opset), tmp_path)
    assert axes(model) == [batch or "batch", 3, "image_2", "image_3"]
    assert (model.inputs, model.outputs[0].shape) == ((FREE_INPUT,), (4, FREE, FREE))
    assert_like_torch(model, any_size, batch or 3)


def as_compiled(model: OnnxModel, batch: int) -> CompiledModel:
    return CompiledModel(path=model.path, sha256="", soc="cpu", batch=batch, inputs=model.inputs, outputs=model.outputs)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_outputs_of_samples_of_differing_shapes_are_those_of_each_alone(
    export_any_size: Export, any_size: AnySize, tmp_path: Path, batch: int
) -> None:
    images = pictures(*SIZES)
    spec = InferSpec(
        tool=Target("runner.tools.onnxruntime.OnnxRuntime"),
        tool_version="1",
        placement=CPU,
        batch=batch,
        normalisation=IDENTITY,
    )
    made = infer(spec, as_compiled(export_any_size(), batch), stored(tmp_path / "samples", images), tmp_path)
    assert predictions.read_ids(made.path) == [f"s{index}" for index in range(6)]
    found = [
        (chunk["map"][row], chunk["scores"][row])
        for chunk in predictions.iterate(made)
        for row in range(len(chunk["map"]))
    ]
    for image, outputs in zip(images, found, strict=True):
        for got, wanted in zip(outputs, expected(any_size, image[None]), strict=True):
            np.testing.assert_allclose(got, wanted[0], atol=1e-5)
    with np.load(made.path) as arrays:
        assert arrays["scores"].shape == (6, 4)
        assert arrays["map.shapes"].tolist() == [[4, *size] for size in SIZES]


@dataclass(frozen=True)
class Recorder:
    """A compiler that keeps the requests it gets."""

    requests = []  # type: ignore[var-annotated]  # noqa: RUF012

    def commands(self, request: CompileRequest, out: Path) -> list[tuple[str, ...]]:
        return [("first",), ("compiler", str(out))]

    def compile(self, request: CompileRequest, out: Path) -> Path:
        self.requests.append(request)
        path = out.with_suffix(".om")
        path.write_bytes(b"compiled")
        return path


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[CompileRequest]:
    module = ModuleType("compilers_of_tests")
    module.Recorder = Recorder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "compilers_of_tests", module)
    monkeypatch.setattr(Recorder, "requests", [])
    return Recorder.requests


def compile_spec(batch: int) -> CompileSpec:
    return CompileSpec(
        compiler=Target("compilers_of_tests.Recorder"),
        compiler_version="1",
        placement=CPU,
        batch=batch,
        flags={},
        aipp=None,
    )


def in_size(height: int, width: int) -> tuple[TensorSpec, ...]:
    return (FREE_INPUT.at((3, height, width)),)


def test_a_model_is_compiled_for_each_shape_of_the_samples(
    export_any_size: Export, requests: list[CompileRequest], tmp_path: Path
) -> None:
    model = export_any_size()
    permissions.allow(["compilers_of_tests", "networks_of_free_sizes", __name__])
    samples = stored(tmp_path / "samples", pictures(*SIZES))
    compiled = compile(compile_spec(4), model, samples, out=tmp_path)
    (request,) = requests
    assert request.gears == (in_size(7, 9), in_size(8, 12), in_size(10, 6))
    assert (request.inputs, request.batch, request.is_static) == ((FREE_INPUT,), 4, False)
    assert (compiled.inputs, compiled.argv) == ((FREE_INPUT,), ("compiler", str(tmp_path / "model")))
    assert [gear.outputs[0].shape for gear in compiled.gears] == [(4, 7, 9), (4, 8, 12), (4, 10, 6)]
    assert compiled.at([(3, 10, 6)]).outputs == (
        TensorSpec("map", "float32", (4, 10, 6)),
        TensorSpec("scores", "float32", (4,)),
    )


def test_samples_of_one_shape_need_no_gears(
    export_any_size: Export, requests: list[CompileRequest], tmp_path: Path
) -> None:
    model = export_any_size()
    permissions.allow(["compilers_of_tests", "networks_of_free_sizes", __name__])
    compiled = compile(compile_spec(1), model, stored(tmp_path / "samples", pictures((8, 12), (8, 12))), out=tmp_path)
    (request,) = requests
    assert (request.gears, request.inputs) == ((), in_size(8, 12))
    assert (compiled.gears, compiled.inputs, compiled.outputs[0].shape) == ((), in_size(8, 12), (4, 8, 12))


def test_a_shape_that_the_model_cannot_take_is_told_before_it_is_compiled(
    export_any_size: Export, requests: list[CompileRequest], tmp_path: Path
) -> None:
    model = export_any_size()
    permissions.allow(["compilers_of_tests", "networks_of_free_sizes", __name__])
    samples = stored(tmp_path / "samples", pictures((8, 12), (0, 12)))
    with pytest.raises(ExportError, match="ONNX Runtime cannot run the ONNX model"):
        compile(compile_spec(1), model, samples, out=tmp_path)
    assert requests == []


class Measurer:
    """A tool that keeps what it is to measure."""

    def measure(self, model, placement, inputs, limits, work) -> Timing:
        self.model, self.inputs = model, inputs
        return Timing(batch=model.batch, latencies_ms=(1.0,), warmup=0, source="measurer")


@pytest.mark.parametrize("real", [True, False])
def test_the_shape_that_most_samples_have_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real: bool
) -> None:
    tool = Measurer()
    monkeypatch.setattr("runner.stages.benchmark.targets.call", lambda target: tool)
    images = pictures(*SIZES)
    model = CompiledModel(path=Path("/m"), sha256="", soc="cpu", batch=2, inputs=(FREE_INPUT,), outputs=())
    spec = BenchmarkSpec(
        tool=Target("a.b"),
        tool_version="1",
        placement=CPU,
        limits=MeasuringLimits(1, 2, 0.0, 1.0),
        machine=(),
        normalisation=IDENTITY,
        real_inputs=real,
    )
    benchmark(spec, model, stored(tmp_path / "samples", images), out=tmp_path)
    assert tool.model.inputs == in_size(7, 9)
    assert tool.inputs["image"].shape == (2, 3, 7, 9)
    assert np.array_equal(tool.inputs["image"], np.stack(images[3:5])) is real

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from runner.config.callables import Target
from runner.core import Command, Problem
from runner.core.artifacts import CompiledModel, OperatorTime, TensorSpec, Timing
from runner.data import Row
from runner.data.preprocess import Normalisation
from runner.data.storage import create_array, finish, write_at
from runner.stages.benchmark import BenchmarkSpec, benchmark
from runner.tools.tool import MeasuringLimits, Placement

LIMITS = MeasuringLimits(1, 2, 0.0, 1.0)
PLACEMENT = Placement(soc="cpu", kind="cpu", devices=(0,))
TENSOR = TensorSpec("x", "float32", (2, 3))
MODEL = CompiledModel(path=Path("/m"), sha256="digest", soc="cpu", batch=4, inputs=(TENSOR,), outputs=())
ONNX_RUNTIME = Target("runner.tools.onnxruntime.OnnxRuntime")
SPEC = BenchmarkSpec(tool=Target("a.b"), tool_version="1", placement=PLACEMENT, limits=LIMITS, machine=())


class Recorder:
    """A tool that keeps what it was given."""

    def measure(self, model, placement, inputs, limits, work) -> Timing:
        self.given = (model, placement, inputs, limits)
        (work / "left").write_text("over")
        return Timing(batch=model.batch, latencies_ms=(1.0,), warmup=limits.warmup, source="recorder")


@pytest.fixture
def recorder(monkeypatch) -> Recorder:
    tool = Recorder()
    monkeypatch.setattr("runner.stages.benchmark.targets.call", lambda target: tool)
    return tool


def test_the_tool_measures_one_batch_of_inputs(recorder, tmp_path) -> None:
    timing = benchmark(SPEC, MODEL, out=tmp_path)
    model, placement, inputs, limits = recorder.given
    assert timing.latencies_ms == (1.0,)
    assert (model, placement, limits) == (MODEL, PLACEMENT, LIMITS)
    assert {name: array.shape for name, array in inputs.items()} == {"x": (4, 2, 3)}


def test_a_measurement_tells_when_it_was_made(recorder, tmp_path) -> None:
    before = datetime.now(timezone.utc).replace(microsecond=0)
    measured_at = benchmark(SPEC, MODEL, out=tmp_path).measured_at
    assert measured_at is not None
    assert before <= datetime.fromisoformat(measured_at) <= datetime.now(timezone.utc)


def test_inputs_are_no_zeros(recorder, tmp_path) -> None:
    benchmark(SPEC, MODEL, out=tmp_path)
    assert recorder.given[2]["x"].std() > 0.5


def test_real_inputs_are_the_first_batch_of_the_samples(recorder, tmp_path) -> None:
    values = np.arange(36, dtype=np.uint8).reshape(6, 2, 3)
    array = create_array(tmp_path, replace(TENSOR, dtype="uint8"), 6)
    with array.path.open("r+b") as file:
        write_at(file.fileno(), values, array.offset)
    samples = finish(tmp_path, (TENSOR,), [Row(id=str(index)) for index in range(6)])
    spec = BenchmarkSpec(
        tool=Target("a.b"),
        tool_version="1",
        placement=PLACEMENT,
        limits=LIMITS,
        machine=(),
        normalisation=Normalisation(1.0, (0.0,), (2.0,)),
        real_inputs=True,
    )
    benchmark(spec, MODEL, samples, out=tmp_path)
    np.testing.assert_array_equal(recorder.given[2]["x"], values[:4] / 2)


def test_the_files_of_the_tool_are_removed(recorder, tmp_path) -> None:
    benchmark(SPEC, MODEL, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


class Profiler(Recorder):
    """A tool that has a profiler, and keeps the order in which it was called."""

    def __init__(self) -> None:
        self.calls = []

    def measure(self, model, placement, inputs, limits, work) -> Timing:
        self.calls.append("measure")
        return super().measure(model, placement, inputs, limits, work)

    def profile(self, model, placement, inputs, work) -> tuple[OperatorTime, ...]:
        self.calls.append("profile")
        assert list(work.iterdir()) == []
        return (OperatorTime(name="conv1", type="Conv", mean_ms=1.0, percent=100.0),)

    def profile_problems(self, placement) -> list[Problem]:
        return []

    def profile_commands(self, paths, placement) -> list[Command]:
        return []


@pytest.mark.parametrize(("asked", "calls", "operators"), [(False, ["measure"], 0), (True, ["measure", "profile"], 1)])
def test_a_profile_is_made_after_the_measurement_where_it_is_asked_for(
    monkeypatch, tmp_path, asked, calls, operators
) -> None:
    tool = Profiler()
    monkeypatch.setattr("runner.stages.benchmark.targets.call", lambda target: tool)
    timing = benchmark(replace(SPEC, profile=asked), MODEL, out=tmp_path)
    assert (tool.calls, len(timing.operators)) == (calls, operators)


def test_an_isolated_measurement_is_asked_of_another_process(monkeypatch, tmp_path) -> None:
    asked = []

    def measure(tool, model, placement, inputs, limits, work) -> Timing:
        asked.append((tool, model, placement, limits))
        return Timing(batch=4, latencies_ms=(2.0,), warmup=1, source="elsewhere")

    monkeypatch.setattr("runner.stages.benchmark.isolated.measure", measure)
    spec = BenchmarkSpec(
        tool=ONNX_RUNTIME, tool_version="1", placement=PLACEMENT, limits=LIMITS, machine=(), isolate=True
    )
    assert benchmark(spec, MODEL, out=tmp_path).source == "elsewhere"
    assert asked == [(ONNX_RUNTIME, MODEL, PLACEMENT, LIMITS)]

from pathlib import Path

from runner.artifacts import CompiledModel, TensorSpec, Timing
from runner.stages.benchmark import BenchmarkSpec, benchmark
from runner.targets import Target
from runner.tools import MeasuringLimits, Placement

LIMITS = MeasuringLimits(1, 2, 0.0, 1.0)
seen = []


class Recorder:
    """A tool that tells what it was given."""

    def measure(self, model, placement, inputs, limits, work) -> Timing:
        seen.append((model, placement, {name: array.shape for name, array in inputs.items()}, limits))
        (work / "left").write_text("over")
        return Timing(model.batch, (1.0,), limits.warmup, "recorder")


def test_the_tool_measures_one_batch_and_its_files_are_removed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("runner.stages.benchmark.targets.call", lambda target: Recorder())
    model = CompiledModel(Path("/m"), "digest", "cpu", 4, (TensorSpec("x", "float32", (2, 3)),), ())
    placement = Placement("cpu", "cpu", (0,))
    timing = benchmark(BenchmarkSpec(Target("a.b"), "1", placement, LIMITS, ()), model, tmp_path)
    assert timing.latencies_ms == (1.0,)
    assert seen == [(model, placement, {"x": (4, 2, 3)}, LIMITS)]
    assert list(tmp_path.iterdir()) == []

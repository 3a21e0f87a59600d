import pytest

from runner import performance
from runner.artifacts import Timing


def test_throughput_is_the_batch_over_the_mean_latency() -> None:
    assert performance.summarise(Timing(8, (10.0, 30.0), 1, "x"))["samples_per_second"] == 400.0


def test_latencies_are_summarised() -> None:
    summary = performance.summarise(Timing(1, tuple(float(i) for i in range(1, 101)), 3, "x"))
    latency_ms = summary["latency_ms"]
    assert (latency_ms["mean"], latency_ms["p50"], latency_ms["min"], latency_ms["max"]) == (50.5, 50.5, 1.0, 100.0)
    assert latency_ms["p99"] == pytest.approx(99.01)
    assert latency_ms["std"] == pytest.approx(28.866, abs=1e-3)
    assert (summary["iterations"], summary["warmup"]) == (100, 3)


def test_a_measurement_without_reasons_against_it_is_valid() -> None:
    assert performance.summarise(Timing(1, (1.0,), 0, "x"))["valid"] is True


def test_a_measurement_with_a_reason_against_it_is_not_valid() -> None:
    summary = performance.summarise(Timing(1, (1.0,), 0, "x", ("too short",)))
    assert (summary["valid"], summary["reasons"]) == (False, ["too short"])

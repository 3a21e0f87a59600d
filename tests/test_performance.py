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


def test_calls_before_the_latencies_settled_count_as_warmup() -> None:
    summary = performance.summarise(Timing(1, (50.0, 10.0, 20.0), 3, "x", settled_after=1))
    assert (summary["latency_ms"]["mean"], summary["iterations"], summary["warmup"]) == (15.0, 2, 4)


def test_load_time_first_call_and_memory_are_told_apart() -> None:
    timing = Timing(1, (1.0,), 0, "x", load_ms=80.0, first_call_ms=7.0, peak_rss_bytes=3 << 20)
    summary = performance.summarise(timing)
    assert (summary["load_ms"], summary["first_call_ms"], summary["peak_rss_mib"]) == (80.0, 7.0, 3.0)


def test_what_a_tool_does_not_tell_is_null() -> None:
    summary = performance.summarise(Timing(1, (), 0, "x", mean_ms=2.0))
    assert {summary[name] for name in ("load_ms", "first_call_ms", "peak_rss_mib")} == {None}


def test_a_measurement_without_reasons_against_it_is_valid() -> None:
    assert performance.summarise(Timing(1, (1.0,), 0, "x"))["valid"] is True


def test_a_measurement_with_a_reason_against_it_is_not_valid() -> None:
    summary = performance.summarise(Timing(1, (1.0,), 0, "x", ("too short",)))
    assert (summary["valid"], summary["reasons"]) == (False, ["too short"])

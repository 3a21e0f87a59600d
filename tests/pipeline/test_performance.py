"""What of a measurement a result tells."""

import pytest

from runner.core import Placement, Timing
from runner.pipeline.outcome import performance

CPU = Placement(soc="cpu", kind="cpu", devices=(0,))


def test_throughput_is_the_batch_over_the_mean_latency() -> None:
    found = performance(Timing(batch=8, latencies_ms=(10.0, 30.0), warmup=1, source="x"), CPU)
    assert found.samples_per_second == 400.0


def test_latencies_are_summarised() -> None:
    latencies_ms = tuple(float(i) for i in range(1, 101))
    found = performance(Timing(batch=1, latencies_ms=latencies_ms, warmup=3, source="x"), CPU)
    latency_ms = found.latency_ms
    assert (latency_ms.mean, latency_ms.p50, latency_ms.min, latency_ms.max) == (50.5, 50.5, 1.0, 100.0)
    assert latency_ms.p99 == pytest.approx(99.01)
    assert latency_ms.std == pytest.approx(28.866, abs=1e-3)
    assert (found.iterations, found.warmup) == (100, 3)


def test_calls_before_the_latencies_settled_count_as_warmup() -> None:
    timing = Timing(batch=1, latencies_ms=(50.0, 10.0, 20.0), warmup=3, source="x", settled_after=1)
    found = performance(timing, CPU)
    assert (found.latency_ms.mean, found.iterations, found.warmup) == (15.0, 2, 4)


def test_load_time_first_call_and_memory_are_told_apart() -> None:
    timing = Timing(
        batch=1,
        latencies_ms=(1.0,),
        warmup=0,
        source="x",
        load_ms=80.0,
        first_call_ms=7.0,
        peak_rss_bytes=3 << 20,
    )
    found = performance(timing, CPU)
    assert (found.load_ms, found.first_call_ms, found.peak_rss_mib) == (80.0, 7.0, 3.0)


def test_what_a_tool_does_not_tell_is_none() -> None:
    found = performance(Timing(batch=1, latencies_ms=(), warmup=0, source="x", mean_ms=2.0), CPU)
    assert {found.load_ms, found.first_call_ms, found.peak_rss_mib} == {None}


def test_a_measurement_without_reasons_against_it_is_valid() -> None:
    assert performance(Timing(batch=1, latencies_ms=(1.0,), warmup=0, source="x"), CPU).valid is True


def test_a_measurement_with_a_reason_against_it_is_not_valid() -> None:
    found = performance(Timing(batch=1, latencies_ms=(1.0,), warmup=0, source="x", reasons=("too short",)), CPU)
    assert (found.valid, found.reasons) == (False, ("too short",))


def test_a_measurement_names_its_cards_the_chips_of_one_and_when_it_was_made() -> None:
    card = Placement(soc="310", kind="ascend", devices=(0, 2), chips=4)
    timing = Timing(batch=1, latencies_ms=(1.0,), warmup=0, source="x", measured_at="2026-01-02T03:04:05.678+00:00")
    found = performance(timing, card)
    assert (found.devices, found.chips) == (("310 device 0", "310 device 2"), 4)
    assert found.measured_at == "2026-01-02T03:04:05.678+00:00"


def test_a_cpu_is_no_card() -> None:
    found = performance(Timing(batch=1, latencies_ms=(1.0,), warmup=0, source="x"), CPU)
    assert (found.devices, found.chips) == ((), 1)

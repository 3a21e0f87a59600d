import time

from runner import measuring
from runner.tools import MeasuringLimits


def test_the_warmup_is_not_measured() -> None:
    calls = []
    latencies_ms, reasons = measuring.repeat(lambda: calls.append(1), MeasuringLimits(3, 5, 0.0, 10.0))
    assert (len(calls), len(latencies_ms), reasons) == (8, 5, ())


def test_measuring_goes_on_until_the_least_time() -> None:
    latencies_ms, _ = measuring.repeat(lambda: time.sleep(0.001), MeasuringLimits(0, 1, 0.02, 10.0))
    assert sum(latencies_ms) >= 20.0


def test_a_measurement_cut_by_its_cap_does_not_count_and_says_why() -> None:
    latencies_ms, reasons = measuring.repeat(lambda: time.sleep(0.002), MeasuringLimits(0, 1000, 0.0, 0.01))
    assert 1 <= len(latencies_ms) < 1000
    assert "benchmark.max_seconds=0.01" in reasons[0]

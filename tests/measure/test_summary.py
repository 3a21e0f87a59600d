import pytest

from runner.core import Timing, ToolError
from runner.measure import summary


def timing(*latencies_ms: float, settled_after: int = 0) -> Timing:
    return Timing(batch=8, latencies_ms=latencies_ms, warmup=1, source="x", settled_after=settled_after)


def test_throughput_is_the_batch_over_the_mean_latency() -> None:
    assert summary.samples_per_second(timing(10.0, 30.0)) == 400.0


def test_latencies_have_a_mean_and_a_distribution() -> None:
    latencies_ms = tuple(float(i) for i in range(1, 101))
    found = summary.distribution(latencies_ms)
    assert summary.mean_ms(timing(*latencies_ms)) == 50.5
    assert (found["p50"], found["min"], found["max"]) == (50.5, 1.0, 100.0)
    assert found["p99"] == pytest.approx(99.01)
    assert found["std"] == pytest.approx(28.866, abs=1e-3)


def test_calls_before_the_latencies_settled_do_not_count() -> None:
    measured = timing(50.0, 10.0, 20.0, settled_after=1)
    assert (summary.settled_ms(measured), summary.mean_ms(measured)) == ((10.0, 20.0), 15.0)


def test_the_mean_is_the_tool_s_where_it_tells_no_latencies() -> None:
    told = Timing(batch=1, latencies_ms=(), warmup=0, source="x", mean_ms=2.0)
    assert (summary.mean_ms(told), summary.distribution(summary.settled_ms(told))) == (2.0, {})


def test_a_tool_that_tells_no_time_at_all_is_an_error() -> None:
    with pytest.raises(ToolError, match="x told no latency"):
        summary.mean_ms(timing())

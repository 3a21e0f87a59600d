from collections.abc import Callable

import pytest

from runner.measure import MeasuringLimits, loop
from runner.measure.loop import Measured, Probes

LIMITS = MeasuringLimits(warmup=0, min_iterations=3, min_seconds=0.0, max_seconds=100.0)


class Bench:
    """Calls that take the given seconds, on a clock that only they move; the last one again and again."""

    def __init__(self, *seconds: float) -> None:
        self.now = 0.0
        self.calls = 0
        self._seconds = seconds

    def call(self) -> None:
        self.now += self._seconds[min(self.calls, len(self._seconds) - 1)]
        self.calls += 1

    def measure(
        self,
        limits: MeasuringLimits = LIMITS,
        waited: Callable[[], dict[int, float]] = dict,
        ghz: Callable[[], float | None] = lambda: None,
    ) -> Measured:
        return loop.repeat(self.call, limits, Probes(lambda: self.now, waited, ghz))


def test_the_warmup_is_not_measured() -> None:
    bench = Bench(9.0, 9.0, 1.0)
    measured = bench.measure(MeasuringLimits(2, 3, 0.0, 100.0))
    assert (bench.calls, measured.latencies_ms, measured.reasons) == (5, (1000.0,) * 3, ())


def test_the_warmup_ends_with_the_time_of_a_measurement() -> None:
    bench = Bench(1.0)
    assert bench.measure(MeasuringLimits(2**53, 3, 0.0, 100.0)).warmup == 100
    assert bench.calls == 103


def test_the_first_call_of_all_is_kept_apart() -> None:
    assert Bench(9.0, 1.0).measure(MeasuringLimits(1, 3, 0.0, 100.0)).first_call_ms == 9000.0


def test_without_a_warmup_the_first_call_is_a_measured_one() -> None:
    assert Bench(2.0).measure().first_call_ms == 2000.0


def test_measuring_goes_on_until_the_least_time() -> None:
    measured = Bench(0.5).measure(MeasuringLimits(0, 1, 10.0, 100.0))
    assert sum(measured.latencies_ms) >= 10_000.0
    assert measured.reasons == ()


def test_measuring_goes_on_until_the_least_number_of_calls() -> None:
    assert len(Bench(1.0).measure(MeasuringLimits(0, 10, 0.0, 100.0)).latencies_ms) >= 10


def test_calls_before_the_windows_agree_are_kept_and_marked() -> None:
    measured = Bench(3.0, 2.0, 1.0).measure()
    assert measured.latencies_ms == (3000.0, 2000.0, 1000.0, 1000.0, 1000.0)
    assert (measured.settled_after, measured.reasons) == (2, ())


def test_windows_that_never_agree_are_unstable_by_how_much() -> None:
    bench = Bench(*[1.0, 2.0] * 100)
    measured = bench.measure(MeasuringLimits(0, 3, 0.0, 1000.0))
    assert measured.reasons == ("unstable: the last three windows' means differ by 60 %",)
    assert (len(measured.latencies_ms), measured.settled_after) == (loop.MOST_WINDOWS, 0)


def test_a_measurement_cut_by_its_cap_is_too_short() -> None:
    measured = Bench(1.0).measure(MeasuringLimits(0, 300, 0.0, 5.0))
    assert measured.reasons == ("too short: 5 of 300 iterations within benchmark.max_seconds=5",)


def test_a_cap_that_leaves_no_three_windows_is_too_short() -> None:
    measured = Bench(1.0).measure(MeasuringLimits(0, 4, 0.0, 5.0))
    assert measured.reasons == ("too short: 2 of 3 windows to compare within benchmark.max_seconds=5",)


def test_one_call_is_made_however_long_it_takes() -> None:
    assert Bench(50.0).measure(MeasuringLimits(0, 3, 0.0, 5.0)).latencies_ms == (50_000.0,)


def test_a_cpu_that_others_held_is_a_busy_device() -> None:
    bench = Bench(1.0)
    measured = bench.measure(waited=lambda: {7: 0.25 * bench.now})
    assert measured.reasons == ("device busy: a thread waited 25 % of the time for a CPU",)


def test_a_cpu_that_slows_down_is_throttled() -> None:
    frequencies = iter((3.0, 3.0, 2.0))
    assert Bench(1.0).measure(ghz=lambda: next(frequencies)).reasons == (
        "throttled: the CPU went from 3.00 to 2.00 GHz",
    )


@pytest.mark.parametrize(
    ("means", "agree"),
    [
        ((), False),
        ((1.0, 1.0), False),
        ((1.0, 1.0, 1.0), True),
        ((1.0, 1.02, 1.04), True),
        ((1.0, 1.0, 1.06), False),
        ((9.0, 1.0, 1.0, 1.0), True),
        ((1.0, 1.0, 1.0, 9.0), False),
        ((0.0, 0.0, 0.0), True),
    ],
)
def test_the_last_three_windows_have_to_agree_within_5_percent(means, agree) -> None:
    assert loop.steady(means) is agree


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        ({}, {}, 0),
        ({1: 5.0}, {1: 5.4}, 0),
        ({1: 5.0}, {1: 5.6}, 1),
        ({1: 5.0, 2: 1.0}, {1: 5.3, 2: 1.3}, 0),
        ({1: 5.0, 2: 9.0}, {1: 5.0}, 0),
        ({}, {3: 0.6}, 1),
    ],
)
def test_the_thread_that_waited_most_tells_whether_the_cpu_was_busy(before, after, reasons) -> None:
    assert len(loop.busy(before, after, 10.0)) == reasons


@pytest.mark.parametrize(
    ("frequencies", "reasons"),
    [((), 0), ((None, None), 0), ((3.0, 2.8), 0), ((2.0, 3.0), 0), ((3.0, None, 2.0), 1)],
)
def test_a_frequency_that_fell_by_more_than_a_tenth_is_told(frequencies, reasons) -> None:
    assert len(loop.throttled(frequencies)) == reasons


TOLD = MeasuringLimits(warmup=0, min_iterations=6, min_seconds=0.0, max_seconds=100.0)
"""Windows of two calls."""


def test_calls_that_a_tool_has_timed_count_from_three_windows_that_agree() -> None:
    assert loop.settled((9.0, 7.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0), TOLD) == (2, ())


def test_a_window_of_them_takes_its_share_of_the_least_time() -> None:
    limits = MeasuringLimits(warmup=0, min_iterations=3, min_seconds=0.03, max_seconds=100.0)
    assert loop.settled((2.0, 8.0) * 3, limits) == (0, ())


def test_calls_that_a_tool_has_timed_and_that_never_agree_do_not_count() -> None:
    assert loop.settled((1.0, 1.0, 2.0, 2.0, 3.0, 3.0), TOLD) == (
        0,
        ("unstable: the last three windows' means differ by 100 %",),
    )


def test_calls_that_agreed_once_and_drift_at_the_end_do_not_count() -> None:
    drifting = (5.0,) * 6 + (5.0, 5.0, 6.0, 6.0, 7.0, 7.0)
    assert loop.settled(drifting, TOLD)[1] == ("unstable: the last three windows' means differ by 33 %",)


def test_too_few_told_calls_make_no_windows() -> None:
    assert "too short" in loop.settled((5.0, 5.0), TOLD)[1][0]


A_SECOND = MeasuringLimits(warmup=3, min_iterations=10, min_seconds=1.0, max_seconds=5.0)


def asked_for(call_ms: Callable[[int], float], usual_calls: int) -> tuple[list[int], tuple[str, ...]]:
    """How many calls a tool is asked for, one of which takes `call_ms` of their number, and why they are invalid."""
    asked: list[int] = []
    reasons = loop.long_enough(lambda calls: asked.append(calls) or (calls, call_ms(calls)), A_SECOND, usual_calls)
    return asked, reasons


def test_a_few_calls_come_before_the_usual_number() -> None:
    assert asked_for(lambda calls: 2.0, 1000) == ([4, 1000], ())


def test_fast_calls_are_so_many_that_they_last_the_least_time() -> None:
    assert asked_for(lambda calls: 1.0, 20) == ([4, 1500], ())


def test_slow_calls_are_as_many_as_the_longest_time_allows() -> None:
    assert asked_for(lambda calls: 100.0, 1000) == ([4, 50], ())


def test_calls_too_slow_for_the_least_number_do_not_count() -> None:
    asked, reasons = asked_for(lambda calls: 600.0, 1000)
    assert (asked, reasons) == ([4, 8], ("too short: 8 of 10 iterations within benchmark.max_seconds=5",))


def test_calls_of_which_no_more_fit_are_not_made_again() -> None:
    assert asked_for(lambda calls: 3000.0, 1000)[0] == [4]


def test_calls_that_the_first_ones_made_seem_slow_are_repeated_once() -> None:
    assert asked_for(lambda calls: 0.5 if calls > 4 else 1.0, 20) == ([4, 1500, 3000], ())


def test_calls_as_fast_at_the_longest_time_are_not_repeated() -> None:
    assert asked_for(lambda calls: 90.0 if calls > 4 else 100.0, 1000)[0] == [4, 50]


def test_a_measurement_that_stays_too_short_does_not_count() -> None:
    assert asked_for(lambda calls: 1.0 / calls, 20)[1] == ("too short: 0.001 of 1 seconds",)

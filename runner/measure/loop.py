"""The measuring loop and the validity checks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runner.core import Timing
from runner.measure import machine

COMPARED_WINDOWS = 3
"""How many consecutive windows must agree; each takes its share of both minima."""
MOST_WINDOWS = 30
"""Maximum windows: without three that agree by then, the measurement is unstable."""
AGREEMENT = 0.05
"""Maximum range of the means of the compared windows, relative to their mean."""
BUSY = 0.05
"""Maximum share of the time that a thread may wait for a CPU used by something else."""
THROTTLED = 0.9
"""Minimum CPU frequency at the end, relative to the highest one measured."""


@dataclass(frozen=True)
class MeasuringLimits:
    """Measure until both minima are met, for at most `max_seconds`, after `warmup` calls for as long at most."""

    warmup: int
    min_iterations: int
    min_seconds: float
    max_seconds: float


@dataclass(frozen=True)
class Measured:
    """Raw latencies of all measured calls; those before index `settled_after` precede the agreeing windows.

    `warmup` is the number of calls before them. `first_call_ms` is the first call's, including warm-up. `reasons` say
    why the measurement is invalid.
    """

    latencies_ms: tuple[float, ...]
    settled_after: int
    warmup: int
    first_call_ms: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Probes:
    """The clock in seconds, and probes for disturbances (runner.measure.machine)."""

    clock: Callable[[], float] = time.perf_counter
    waited_seconds: Callable[[], Mapping[int, float]] = machine.waited_seconds
    frequency_ghz: Callable[[], float | None] = machine.frequency_ghz


def repeat(call: Callable[[], Any], limits: MeasuringLimits, probes: Probes | None = None) -> Measured:
    """Warm up, then time calls in windows until three in a row agree and both minima are met, or a cap is reached."""
    probes = probes or Probes()
    warmup_ms = _warmup(call, limits, probes.clock)
    waited_before, start = probes.waited_seconds(), probes.clock()
    latencies_ms: list[float] = []
    means_ms: list[float] = []
    starts: list[int] = []
    frequencies_ghz: list[float | None] = []
    left_ms = 1000.0 * limits.max_seconds
    while not steady(means_ms) and len(means_ms) < MOST_WINDOWS and (left_ms > 0 or not latencies_ms):
        window_ms = _window(call, limits, probes.clock, left_ms)
        left_ms -= sum(window_ms)
        starts.append(len(latencies_ms))
        latencies_ms += window_ms
        frequencies_ghz.append(probes.frequency_ghz())
        if not _complete(window_ms, limits):
            break
        means_ms.append(sum(window_ms) / len(window_ms))
    return Measured(
        tuple(latencies_ms),
        starts[-COMPARED_WINDOWS] if steady(means_ms) else 0,
        len(warmup_ms),
        (warmup_ms or latencies_ms)[0],
        (
            *unsettled(latencies_ms, means_ms, limits),
            *busy(waited_before, probes.waited_seconds(), probes.clock() - start),
            *throttled(frequencies_ghz),
        ),
    )


def _warmup(call: Callable[[], Any], limits: MeasuringLimits, clock: Callable[[], float]) -> list[float]:
    """Return the latencies of the calls before the measurement, which end when `max_seconds` are over."""
    warmup_ms: list[float] = []
    end = clock() + limits.max_seconds
    while len(warmup_ms) < limits.warmup and clock() < end:
        warmup_ms.append(_timed_ms(call, clock))
    return warmup_ms


def _window(
    call: Callable[[], Any], limits: MeasuringLimits, clock: Callable[[], float], left_ms: float
) -> list[float]:
    """Measure one window and return its latencies, at least one; the window is incomplete if `left_ms` runs out."""
    window_ms = [_timed_ms(call, clock)]
    elapsed_ms = window_ms[0]
    calls, least_ms = _share(limits)
    while (len(window_ms) < calls or elapsed_ms < least_ms) and elapsed_ms < left_ms:
        window_ms.append(_timed_ms(call, clock))
        elapsed_ms += window_ms[-1]
    return window_ms


def _complete(window_ms: Sequence[float], limits: MeasuringLimits) -> bool:
    calls, least_ms = _share(limits)
    return len(window_ms) >= calls and sum(window_ms) >= least_ms * (1 - 1e-9)


def _share(limits: MeasuringLimits) -> tuple[int, float]:
    """Return the minimum calls and the minimum time in ms of one window."""
    return math.ceil(limits.min_iterations / COMPARED_WINDOWS), 1000.0 * limits.min_seconds / COMPARED_WINDOWS


def _timed_ms(call: Callable[[], Any], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return 1000.0 * (clock() - start)


def spread(window_means: Sequence[float]) -> float:
    """Return the range of the last three windows' means, relative to their mean."""
    last = window_means[-COMPARED_WINDOWS:]
    return (max(last) - min(last)) / (sum(last) / len(last)) if sum(last) else 0.0


def steady(window_means: Sequence[float]) -> bool:
    """Return whether there are at least three windows and the last three agree."""
    return len(window_means) >= COMPARED_WINDOWS and spread(window_means) <= AGREEMENT


def unsettled(latencies_ms: Sequence[float], window_means: Sequence[float], limits: MeasuringLimits) -> tuple[str, ...]:
    """Return the reasons why a measurement with these window means is invalid; empty if it is valid."""
    if len(latencies_ms) < limits.min_iterations:
        return _too_few(len(latencies_ms), f"{limits.min_iterations} iterations", limits)
    if len(window_means) < COMPARED_WINDOWS:
        return _too_few(len(window_means), f"{COMPARED_WINDOWS} windows to compare", limits)
    if not steady(window_means):
        return (f"unstable: the last three windows' means differ by {100 * spread(window_means):.0f} %",)
    return ()


def settled(latencies_ms: Sequence[float], limits: MeasuringLimits) -> tuple[int, tuple[str, ...]]:
    """Return, for latencies reported by a tool, where three windows start to agree, and the reasons if invalid.

    Windows are formed as in `repeat`; the last three must agree too.
    """
    starts, means_ms = _windows(latencies_ms, limits)
    agreeing = next((end for end in range(len(means_ms) + 1) if steady(means_ms[:end])), None)
    return (
        0 if agreeing is None else starts[agreeing - COMPARED_WINDOWS],
        unsettled(latencies_ms, means_ms, limits),
    )


def _windows(latencies_ms: Sequence[float], limits: MeasuringLimits) -> tuple[list[int], list[float]]:
    """Return the start and the mean of each complete window."""
    calls, least_ms = _share(limits)
    starts: list[int] = []
    means_ms: list[float] = []
    start, elapsed_ms = 0, 0.0
    for end, latency_ms in enumerate(latencies_ms, 1):
        elapsed_ms += latency_ms
        if end - start >= max(calls, 1) and elapsed_ms >= least_ms * (1 - 1e-9):
            starts.append(start)
            means_ms.append(elapsed_ms / (end - start))
            start, elapsed_ms = end, 0.0
    return starts, means_ms


def busy(before: Mapping[int, float], after: Mapping[int, float], elapsed_seconds: float) -> tuple[str, ...]:
    """Return a reason if something else used the CPU, from the waiting time of each thread before and after.

    The thread that waited longest counts, since a call is as slow as its slowest thread.
    """
    waited = max((seconds - before.get(thread, 0.0) for thread, seconds in after.items()), default=0.0)
    if elapsed_seconds <= 0 or waited <= BUSY * elapsed_seconds:
        return ()
    return (f"device busy: a thread waited {100 * waited / elapsed_seconds:.0f} % of the time for a CPU",)


def throttled(frequencies_ghz: Sequence[float | None]) -> tuple[str, ...]:
    """Return a reason if the CPU slowed down, from its frequency at the end of each window, if known."""
    known = [frequency for frequency in frequencies_ghz if frequency is not None]
    if not known or known[-1] >= THROTTLED * max(known):
        return ()
    return (f"throttled: the CPU went from {max(known):.2f} to {known[-1]:.2f} GHz",)


def first_calls(limits: MeasuringLimits) -> int:
    """Return how many calls to request from a tool to learn how long one takes: those of one window."""
    return max(1, _share(limits)[0])


def planned_calls(limits: MeasuringLimits, mean_ms: float, usual_calls: int) -> int:
    """Return how many calls of `mean_ms` to request from a tool: `usual_calls` or what the minima need, if more.

    No more than fit into `max_seconds`. Half more than `min_seconds` needs, since the first calls, which `mean_ms` is
    of, are the slowest.
    """
    enough = math.ceil(1500.0 * limits.min_seconds / mean_ms)
    fitting = math.floor(1000.0 * limits.max_seconds / mean_ms)
    return max(1, min(max(usual_calls, limits.min_iterations, enough), fitting))


def too_short(limits: MeasuringLimits, iterations: int, mean_ms: float) -> tuple[str, ...]:
    """Return the reasons why a measurement is too short, if any."""
    if iterations < limits.min_iterations:
        return _too_few(iterations, f"{limits.min_iterations} iterations", limits)
    seconds = iterations * mean_ms / 1000.0
    if seconds < limits.min_seconds:
        return (f"too short: {seconds:.3g} of {limits.min_seconds:g} seconds",)
    return ()


def _too_few(made: int, wanted: str, limits: MeasuringLimits) -> tuple[str, ...]:
    return (f"too short: {made} of {wanted} within benchmark.max_seconds={limits.max_seconds:g}",)


def long_enough(
    measured: Callable[[int], tuple[int, float]], limits: MeasuringLimits, usual_calls: int
) -> tuple[str, ...]:
    """Call `measured(calls) -> (calls, mean_ms)` with a few calls, then with as many as those say fit the limits.

    Once more if that turned out shorter than `min_seconds`. The last measurement counts; return the reasons if it is
    invalid.
    """
    calls, mean_ms = measured(first_calls(limits))
    wanted = planned_calls(limits, mean_ms, usual_calls)
    if wanted > calls:
        calls, mean_ms = measured(wanted)
    more = planned_calls(limits, mean_ms, usual_calls)
    if more > calls and calls * mean_ms < 1000.0 * limits.min_seconds:
        calls, mean_ms = measured(more)
    return too_short(limits, calls, mean_ms)


def in_windows(timing: Timing, limits: MeasuringLimits) -> Timing:
    """Return the timing checked for stable windows, if the tool reports the latency of every call and it is valid."""
    if not timing.latencies_ms or timing.reasons:
        return timing
    settled_after, reasons = settled(timing.latencies_ms, limits)
    return replace(timing, settled_after=settled_after, reasons=reasons)

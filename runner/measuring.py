"""The measuring loop, its verdict, and the lock that keeps two measurements of one device apart."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from runner import machine_state
from runner.tools import MeasuringLimits, Placement

COMPARED_WINDOWS = 3
"""How many windows in a row have to agree; each takes its share of both minima."""
MOST_WINDOWS = 30
"""After so many windows without three that agree, the measurement is unstable."""
AGREEMENT = 0.05
"""How far the means of the compared windows may lie apart, as a share of their mean."""
BUSY = 0.05
"""The share of the time that a thread may wait for a CPU which something else holds."""
THROTTLED = 0.9
"""The share of its highest frequency that a CPU must still have at the end."""


@dataclass(frozen=True)
class Measured:
    """Raw latencies of all measured calls; those before `settled_after` came before the windows agreed.

    `first_call_ms` is the very first call's, warm-up or not. `reasons` say why the measurement does not count.
    """

    latencies_ms: tuple[float, ...]
    settled_after: int
    first_call_ms: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Probes:
    """Where the loop looks: the clock in seconds, and what disturbs it (see runner.machine_state)."""

    clock: Callable[[], float] = time.perf_counter
    waited_seconds: Callable[[], Mapping[int, float]] = machine_state.waited_seconds
    frequency_ghz: Callable[[], float | None] = machine_state.frequency_ghz


def repeat(call: Callable[[], Any], limits: MeasuringLimits, probes: Probes | None = None) -> Measured:
    """Warm up, then time calls in windows until three in a row agree and both minima are met, or a cap is reached."""
    probes = probes or Probes()
    warmup_ms = [_timed_ms(call, probes.clock) for _ in range(limits.warmup)]
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
        (warmup_ms or latencies_ms)[0],
        (
            *unsettled(latencies_ms, means_ms, limits),
            *busy(waited_before, probes.waited_seconds(), probes.clock() - start),
            *throttled(frequencies_ghz),
        ),
    )


def _window(
    call: Callable[[], Any], limits: MeasuringLimits, clock: Callable[[], float], left_ms: float
) -> list[float]:
    """The latencies of one window's calls, at least one; fewer than it takes where `left_ms` runs out."""
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
    """The least calls and the least time in ms of one window."""
    return math.ceil(limits.min_iterations / COMPARED_WINDOWS), 1000.0 * limits.min_seconds / COMPARED_WINDOWS


def _timed_ms(call: Callable[[], Any], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return 1000.0 * (clock() - start)


def spread(window_means: Sequence[float]) -> float:
    """How far the last three windows' means lie apart, as a share of their mean."""
    last = window_means[-COMPARED_WINDOWS:]
    return (max(last) - min(last)) / (sum(last) / len(last)) if sum(last) else 0.0


def steady(window_means: Sequence[float]) -> bool:
    """Whether there are three windows and the last three agree."""
    return len(window_means) >= COMPARED_WINDOWS and spread(window_means) <= AGREEMENT


def unsettled(latencies_ms: Sequence[float], window_means: Sequence[float], limits: MeasuringLimits) -> tuple[str, ...]:
    """Why calls that were measured under `limits`, in windows with these means, do not count, if they do not."""
    cap = f"benchmark.max_seconds={limits.max_seconds:g}"
    if len(latencies_ms) < limits.min_iterations:
        return (f"too short: {len(latencies_ms)} of {limits.min_iterations} iterations within {cap}",)
    if len(window_means) < COMPARED_WINDOWS:
        return (f"too short: {len(window_means)} of {COMPARED_WINDOWS} windows to compare within {cap}",)
    if not steady(window_means):
        return (f"unstable: the last three windows' means differ by {100 * spread(window_means):.0f} %",)
    return ()


def settled(latencies_ms: Sequence[float], limits: MeasuringLimits) -> tuple[int, tuple[str, ...]]:
    """Of calls that a tool has timed by itself: how many came before three windows agreed, and why they do not count.

    Windows are as `repeat` makes them; the last three have to agree too.
    """
    starts, means_ms = _windows(latencies_ms, limits)
    agreeing = next((end for end in range(len(means_ms) + 1) if steady(means_ms[:end])), None)
    return (
        0 if agreeing is None else starts[agreeing - COMPARED_WINDOWS],
        unsettled(latencies_ms, means_ms, limits),
    )


def _windows(latencies_ms: Sequence[float], limits: MeasuringLimits) -> tuple[list[int], list[float]]:
    """Where each complete window starts, and its mean."""
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
    """The reason that something else held the CPU, from what each thread had waited before and after, if it did.

    The thread that waited most counts: a call is as slow as its slowest thread.
    """
    waited = max((seconds - before.get(thread, 0.0) for thread, seconds in after.items()), default=0.0)
    if elapsed_seconds <= 0 or waited <= BUSY * elapsed_seconds:
        return ()
    return (f"device busy: a thread waited {100 * waited / elapsed_seconds:.0f} % of the time for a CPU",)


def throttled(frequencies_ghz: Sequence[float | None]) -> tuple[str, ...]:
    """The reason that the CPU slowed down, from its frequency at each window's end, if it did and tells."""
    known = [frequency for frequency in frequencies_ghz if frequency is not None]
    if not known or known[-1] >= THROTTLED * max(known):
        return ()
    return (f"throttled: the CPU went from {max(known):.2f} to {known[-1]:.2f} GHz",)


@contextmanager
def exclusive(placement: Placement) -> Iterator[None]:
    """Hold every device of the placement on this host; waits for other measurements to end."""
    with ExitStack() as stack:
        for device in sorted(placement.devices):
            path = Path(tempfile.gettempdir()) / f"model-zoo-runner-{placement.kind}-{device}.lock"
            stack.enter_context(FileLock(path, mode=0o666))
        yield

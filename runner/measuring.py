"""The measuring loop, and the lock that keeps two measurements of one device apart."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from runner.tools import MeasuringLimits, Placement


def repeat(call: Callable[[], Any], limits: MeasuringLimits) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Latencies of `call` in ms, and the reasons why they do not count, if any."""
    for _ in range(limits.warmup):
        call()
    latencies_ms: list[float] = []
    elapsed_seconds = 0.0
    while len(latencies_ms) < limits.min_iterations or elapsed_seconds < limits.min_seconds:
        if elapsed_seconds >= limits.max_seconds and latencies_ms:
            return tuple(latencies_ms), (
                f"too short: {len(latencies_ms)} of {limits.min_iterations} iterations"
                f" within benchmark.max_seconds={limits.max_seconds:g}",
            )
        start = time.perf_counter()
        call()
        seconds = time.perf_counter() - start
        latencies_ms.append(1000.0 * seconds)
        elapsed_seconds += seconds
    return tuple(latencies_ms), ()


@contextmanager
def exclusive(placement: Placement) -> Iterator[None]:
    """Hold every device of the placement on this host; waits for other measurements to end."""
    with ExitStack() as stack:
        for device in sorted(placement.devices):
            path = Path(tempfile.gettempdir()) / f"model-zoo-runner-{placement.kind}-{device}.lock"
            stack.enter_context(FileLock(path, mode=0o666))
        yield

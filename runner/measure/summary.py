"""Statistics of a measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence

from runner.core import Timing, ToolError


def mean_ms(timing: Timing) -> float:
    """Return the mean of the settled latencies, or the mean reported by the tool.

    Raises:
        ToolError: the tool reported neither.
    """
    latencies_ms = settled_ms(timing)
    if latencies_ms:
        return math.fsum(latencies_ms) / len(latencies_ms)
    if timing.mean_ms is None:
        raise ToolError(f"{timing.source} told no latency", "look at its log")
    return timing.mean_ms


def samples_per_second(timing: Timing) -> float:
    """Return chips * 1000 * batch / mean latency in ms: the throughput per card, as in the guides."""
    return timing.chips * 1000.0 * timing.batch / mean_ms(timing)


def settled_ms(timing: Timing) -> tuple[float, ...]:
    """Return the raw latencies without those before they settled, which count as warm-up."""
    return timing.latencies_ms[timing.settled_after :]


def distribution(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p90, p95, p99 (linear interpolation as in numpy), min, max and std; empty for no values."""
    if not values:
        return {}
    ordered = sorted(values)
    mean = math.fsum(ordered) / len(ordered)
    percentiles = {f"p{percent}": _percentile(ordered, percent) for percent in (50, 90, 95, 99)}
    variance = math.fsum((value - mean) ** 2 for value in ordered) / len(ordered)
    return {**percentiles, "min": ordered[0], "max": ordered[-1], "std": math.sqrt(variance)}


def _percentile(ordered: Sequence[float], percent: int) -> float:
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)

"""Derived figures of a measurement. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.artifacts import Timing
from runner.errors import ToolError


def summarise(timing: Timing) -> dict[str, Any]:
    """The `performance` part of result.json; what the tool does not tell is null.

    Samples a second = chips * 1000 * batch / mean latency in ms: a card's, as the guides publish it. Calls before the
    latencies settled count as warm-up.
    """
    latencies_ms = np.asarray(timing.latencies_ms[timing.settled_after :], dtype=np.float64)
    mean_ms = float(latencies_ms.mean()) if len(latencies_ms) else timing.mean_ms
    if mean_ms is None:
        raise ToolError(f"{timing.source} told no latency", "look at its log")
    return {
        "batch": timing.batch,
        "samples_per_second": timing.chips * 1000.0 * timing.batch / mean_ms,
        "latency_ms": {"mean": mean_ms, **_distribution(latencies_ms)},
        "iterations": len(latencies_ms) or timing.iterations,
        "warmup": timing.warmup + timing.settled_after,
        "load_ms": timing.load_ms,
        "first_call_ms": timing.first_call_ms,
        "peak_rss_mib": None if timing.peak_rss_bytes is None else timing.peak_rss_bytes / 2**20,
        "valid": not timing.reasons,
        "reasons": list(timing.reasons),
        "source": timing.source,
    }


def _distribution(latencies_ms: NDArray[np.float64]) -> dict[str, float | None]:
    names = ("p50", "p90", "p95", "p99", "min", "max", "std")
    if not len(latencies_ms):
        return dict.fromkeys(names)
    percentiles = np.percentile(latencies_ms, [50, 90, 95, 99])
    values = (*percentiles, latencies_ms.min(), latencies_ms.max(), latencies_ms.std())
    return {name: float(value) for name, value in zip(names, values, strict=True)}

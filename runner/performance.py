"""Derived figures of a measurement. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np

from runner.artifacts import Timing


def summarise(timing: Timing) -> dict[str, Any]:
    """The `performance` part of result.json. Samples a second = 1000 * batch / mean latency in ms."""
    latencies_ms = np.asarray(timing.latencies_ms, dtype=np.float64)
    p50, p90, p95, p99 = (float(value) for value in np.percentile(latencies_ms, [50, 90, 95, 99]))
    mean_ms = float(latencies_ms.mean())
    return {
        "batch": timing.batch,
        "samples_per_second": 1000.0 * timing.batch / mean_ms,
        "latency_ms": {
            "mean": mean_ms,
            "p50": p50,
            "p90": p90,
            "p95": p95,
            "p99": p99,
            "min": float(latencies_ms.min()),
            "max": float(latencies_ms.max()),
            "std": float(latencies_ms.std()),
        },
        "iterations": len(latencies_ms),
        "warmup": timing.warmup,
        "valid": not timing.reasons,
        "reasons": list(timing.reasons),
        "source": timing.source,
    }

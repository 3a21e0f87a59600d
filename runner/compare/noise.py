"""The noise of a measurement, from its raw latencies."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec

from runner.core import JSON_ERRORS, DataError, read_regular
from runner.measure import distribution
from runner.results.collection import LARGEST_BYTES
from runner.results.result import LATENCIES, Count

WINDOWS = 20
"""Schmeiser, Batch size effects in the analysis of simulation output, Operations Research 30(3), 1982: between 10 and
30 windows are enough, and more of them give hardly a better estimate."""
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""A time of at most 30 years: squares of longer ones could overflow."""


class _Latencies(msgspec.Struct):
    latencies_ms: tuple[Milliseconds, ...]
    settled_after: Count = 0


def latencies_ms(run: Path) -> Sequence[float]:
    """Return the settled raw latencies of a run's folder, in ms per call and in order; empty if it kept none.

    Raises:
        DataError: they cannot be read.
    """
    path = run / LATENCIES
    try:
        kept = msgspec.json.decode(read_regular(path, LARGEST_BYTES), type=_Latencies)
    except FileNotFoundError:
        return ()
    except (OSError, *JSON_ERRORS) as error:
        fix = "copy the run's folder again, or remove the file: the noise then is unknown"
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}", fix) from error
    return kept.latencies_ms[kept.settled_after :]


def standard_errors_ms(latencies_ms: Sequence[float]) -> Mapping[str, float]:
    """Return the standard errors of the mean, p50 and p99 of latencies, in ms; empty for fewer than two.

    The latencies of a run are no independent values: a disturbance lasts for many calls. So they are cut, in order,
    into windows, and the standard error is the standard deviation of the windows' statistics over the root of their
    number: the method of batch means (Law, Simulation Modeling and Analysis, 5th edition, section 9.5.3; of
    quantiles: Seila, A batching approach to quantile estimation, Management Science 28(5), 1982).
    """
    count = min(WINDOWS, len(latencies_ms))
    if count < 2:
        return {}
    bounds = [index * len(latencies_ms) // count for index in range(count + 1)]
    windows = [_statistics(latencies_ms[start:end]) for start, end in pairwise(bounds)]
    return {
        name: statistics.stdev(window[name] for window in windows) / math.sqrt(count) for name in ("mean", "p50", "p99")
    }


def _statistics(latencies_ms: Sequence[float]) -> Mapping[str, float]:
    return {"mean": statistics.fmean(latencies_ms), **distribution(latencies_ms)}

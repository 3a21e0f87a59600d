"""Which samples PyTorch computes too, and so those whose outputs are always stored."""

from __future__ import annotations

from itertools import groupby

from runner.core import Samples
from runner.core.lazy import np
from runner.data import batches, rows


def chosen_rows(samples: Samples, wanted: int | None, batch: int | None) -> list[int]:
    """Return the indices of about `wanted` rows, evenly spaced; all for None.

    Rows of a sample stay together, or, with `batch`, the rows of each batch of that size.
    """
    together = _rows_by_sample(samples) if batch is None else batches.indices(samples, batch)
    groups = None if wanted is None else -(-wanted * len(together) // samples.count)
    return [index for number in spread(len(together), groups) for index in together[number]]


def spread(count: int, wanted: int | None) -> list[int]:
    """Return `wanted` evenly spaced indices of range(count), ascending; all of them for None."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return [int(index) for index in np.linspace(0, count - 1, wanted).round()]


def _rows_by_sample(samples: Samples) -> list[list[int]]:
    """Return the indices of each sample's rows."""
    grouped = groupby(enumerate(rows.read(samples.path)), key=lambda row: row[1].sample_id)
    return [[index for index, _ in together] for _, together in grouped]

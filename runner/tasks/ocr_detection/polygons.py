"""The result of text detection: polygons around words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runner.core.lazy import NDArray, np
from runner.data import Row


@dataclass(frozen=True)
class Polygons:
    """Words found in a picture: the corners of each, x and y [points, 2] in its own pixels, and scores in 0..1."""

    points: Sequence[NDArray[Any]]
    scores: Sequence[float]


def to_original(points: NDArray[Any], row: Row) -> NDArray[np.float64]:
    """Return points [N, 2], x and y in the row's pixels, in the original picture's pixels, clipped to it."""
    moved: NDArray[np.float64] = row.to_original(np.asarray(points, np.float64))
    if row.original_size is not None:
        height, width = row.original_size
        moved = np.clip(moved, 0, (width, height))
    return moved

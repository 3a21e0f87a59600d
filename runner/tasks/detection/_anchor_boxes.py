"""Where the anchors of SSD, RetinaNet, FCOS and EfficientDet lie, in pixels of the input, in the heads' order."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from runner.core.lazy import NDArray, np

LEVELS = (3, 4, 5, 6, 7)
"""Levels of a feature pyramid; level l has one cell for each 2 ** l pixels, rounded up."""
_OCTAVE_SCALES = (0, 1 / 3, 2 / 3)
"""Exponents of 2 of the anchors' sizes on one level (arXiv:1708.02002, section 4)."""


def cells_of(height: int, width: int, stride: int) -> tuple[int, int]:
    """Return rows and columns of a map at a stride: padded convolutions round up where it does not divide the input."""
    return -(-height // stride), -(-width // stride)


def _grid(down: NDArray[Any], across: NDArray[Any]) -> NDArray[Any]:
    """Return x, y [rows * columns, 2] of the points at heights `down` [rows] and at `across` [columns], row by row."""
    y, x = np.meshgrid(down, across, indexing="ij")
    return np.stack([x.reshape(-1), y.reshape(-1)], axis=1)


@lru_cache
def corners_of(height: int, width: int, level: int) -> NDArray[np.float32]:
    """Return x, y [cells, 2] of the cells' upper left corners in pixels, row by row, as torchvision counts them.

    Their distance is the input's side / cells, rounded down.
    """
    rows, columns = cells_of(height, width, 2**level)
    return _grid(np.arange(rows) * (height // rows), np.arange(columns) * (width // columns)).astype(np.float32)


@lru_cache
def pyramid_anchors(height: int, width: int) -> tuple[NDArray[np.float32], ...]:
    """Return torchvision's anchors of RetinaNet by level, [cells * 9, 4] each: aspect ratio by aspect ratio, size."""
    by_level = []
    for level in LEVELS:
        sizes = np.array([int(2 ** (level + 2 + octave)) for octave in _OCTAVE_SCALES], np.float32)
        roots = np.sqrt(np.array([0.5, 1.0, 2.0], np.float32))[:, None]
        widths, heights = (1 / roots * sizes).reshape(-1), (roots * sizes).reshape(-1)
        around = np.round(np.stack([-widths, -heights, widths, heights], axis=1) / 2)
        places = np.tile(corners_of(height, width, level), 2)
        by_level.append((places[:, None] + around).reshape(-1, 4).astype(np.float32))
    return tuple(by_level)


@lru_cache
def centred_anchors(height: int, width: int, anchor_scale: float) -> NDArray[np.float32]:
    """Return EfficientDet's anchors [anchors, 4]: centre x, y, width, height."""
    aspects = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))
    by_level = []
    for level in LEVELS:
        stride = 2**level
        sides = [
            (anchor_scale * stride * 2**octave * across, anchor_scale * stride * 2**octave * down)
            for octave in _OCTAVE_SCALES
            for across, down in aspects
        ]
        rows, columns = cells_of(height, width, stride)
        centres = _grid((np.arange(rows) + 0.5) * stride, (np.arange(columns) + 0.5) * stride)
        places = np.repeat(centres, len(sides), axis=0)
        by_level.append(np.concatenate([places, np.tile(sides, (rows * columns, 1))], axis=1))
    return np.concatenate(by_level, dtype=np.float32)


@lru_cache
def default_boxes(
    height: int,
    width: int,
    grids: tuple[int, ...],
    scales: tuple[float, ...],
    aspect_ratios: tuple[tuple[float, ...], ...],
    steps: tuple[int, ...] | None,
) -> NDArray[np.float32]:
    """Return SSD's default boxes [anchors, 4] as x1, y1, x2, y2: grid, row, column, shape (arXiv:1512.02325, 2.2)."""
    boxes = []
    for index, (grid, ratios) in enumerate(zip(grids, aspect_ratios, strict=True)):
        scale, between = scales[index], math.sqrt(scales[index] * scales[index + 1])
        shapes = [(scale, scale), (between, between)]
        for ratio in ratios:
            across, down = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
            shapes += [(across, down), (down, across)]
        halves = np.clip(np.array(shapes, np.float32), 0, 1) / 2
        cells = (height / steps[index], width / steps[index]) if steps else (grid, grid)
        centres = _grid(*((np.arange(grid) + 0.5) / count for count in cells)).astype(np.float32)[:, None]
        boxes.append(np.concatenate([centres - halves, centres + halves], axis=2).reshape(-1, 4))
    return np.concatenate(boxes) * np.array([width, height] * 2, np.float32)

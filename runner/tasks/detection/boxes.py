"""Boxes of objects: the result of every decoder of detection, and geometry of boxes.

Boxes are [n, 4] as x1, y1, x2, y2 in pixels: the left, upper, right and lower edges, continuous coordinates in which a
picture reaches from 0 to its width and height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from runner.core.lazy import NDArray, np
from runner.data import Row


class RLE(TypedDict):
    """A mask in COCO's compressed run-length encoding, as pycocotools takes it; `size` is [height, width]."""

    size: list[int]
    counts: bytes | str


class _Objects(TypedDict):
    class_count: int
    boxes: list[list[float]]
    classes: list[int]
    areas: list[float]
    crowd: list[int]


class Objects(_Objects, total=False):
    """The ground truth of a picture, in JSON types: its objects, one per entry of each list.

    `boxes` are in pixels of the original picture, `classes` indices below `class_count`, `areas` in pixels. `crowd` is
    1 for a region of many objects (COCO), `difficult` 1 for an object that need not be found (Pascal VOC). `masks` are
    of the picture's size, with `counts` as text.
    """

    difficult: list[int]
    masks: list[RLE]


@dataclass(frozen=True, eq=False)
class Boxes:
    """The objects found in one picture, in any order.

    `boxes` [n, 4] float32 are in pixels of the original picture, `scores` [n] float32 higher for surer ones, `classes`
    [n] int64 indices from 0, `masks` n masks of the original picture's size, None if the network gives none.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    masks: Sequence[RLE] | None = None


def to_original(boxes: NDArray[Any], row: Row) -> NDArray[np.float32]:
    """Return boxes [n, 4] in pixels of a row as boxes in its original picture, clipped to it.

    A row without metadata of a picture is its own original, and its boxes are not clipped.
    """
    points = to_original_unclipped(boxes, row).reshape(-1, 2, 2)
    if row.original_size is not None:
        points = np.clip(points, 0, np.array(row.original_size[::-1], np.float32))
    return points.reshape(-1, 4)


def to_original_unclipped(boxes: NDArray[Any], row: Row) -> NDArray[np.float32]:
    """Return boxes [n, 4] in pixels of a row as boxes in its original picture, whose edges they may pass."""
    return row.to_original(np.asarray(boxes, np.float32).reshape(-1, 2, 2)).reshape(-1, 4)


def by_class(classes: NDArray[np.int64], scores: NDArray[Any], most: int | None = None) -> NDArray[np.int64]:
    """Return the indices by class, then by falling score: all, or the first `most` of each class."""
    order = np.lexsort((-scores, classes))
    if most is None:
        return order
    ordered = classes[order]
    return order[np.arange(len(order)) - np.searchsorted(ordered, ordered) < most]


def areas(boxes: NDArray[Any]) -> NDArray[Any]:
    """Return the areas [n] of boxes [n, 4]; 0 for one whose edges are in the wrong order."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def iou(left: NDArray[Any], right: NDArray[Any], crowd: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """Return intersection over union [n, m] of boxes [n, 4] and [m, 4]; 0 where both boxes are empty.

    For a box on the right that is of a crowd [m] it is COCO's: the intersection over the left box alone.
    """
    lower = np.maximum(left[:, None, :2], right[None, :, :2])
    upper = np.minimum(left[:, None, 2:], right[None, :, 2:])
    sides = np.maximum(upper - lower, 0)
    shared = sides[..., 0] * sides[..., 1]
    own = areas(left)[:, None]
    union = own + areas(right)[None, :] - shared
    if crowd is not None:
        union = np.where(crowd, own, union)
    ratios = np.zeros(shared.shape, np.result_type(shared, np.float32))
    return np.asarray(np.divide(shared, union, out=ratios, where=union > 0))

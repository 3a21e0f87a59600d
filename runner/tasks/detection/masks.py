"""Decoders that give the objects' masks too: YOLO's mixed prototypes, and masks of boxes suppressed in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from runner.core import DataError
from runner.core.lazy import NDArray, np
from runner.data import Row
from runner.tasks.detection._anchor_boxes import cells_of
from runner.tasks.detection._decoder import Candidates, clipped_to_picture, row_size, sigmoid
from runner.tasks.detection._masks import pasted
from runner.tasks.detection.boxes import RLE, to_original, to_original_unclipped
from runner.tasks.detection.exported import Rows
from runner.tasks.detection.yolo import Distances

LEAST_PROBABILITY = 0.5
"""Above which a pixel belongs to an object."""
_PROTOTYPE_STRIDE = 4
_MARGIN = 1
"""Samples of zeros around a box's mask before it is resized, as in torchvision's paste_masks_in_image."""


@dataclass(frozen=True, kw_only=True)
class PrototypeDistances(Distances):
    """Boxes as `Distances` decodes them, with masks mixed of prototypes, as YOLOv8-seg and YOLO11-seg give them.

    Outputs: the maps of the boxes, then for each of them a map [N, coefficients, height, width], then the prototypes
    [N, coefficients, H / 4, W / 4] of an input HxW. A mask is the sigmoid of the prototypes' sum weighted by the
    coefficients of the box's cell (arXiv:1904.02689, section 3.2), resized bilinearly from the picture without padding
    to its original size, where it is above 0.5 within the box.
    """

    gives_masks: ClassVar[bool] = True

    def check(self, outputs: Mapping[str, NDArray[Any]], row: Row) -> None:
        maps = len(self.strides)
        if len(outputs) != 2 * maps + 1:
            takes = f"maps of boxes and of coefficients for the strides {list(self.strides)}, and prototypes"
            raise self.miscounted(outputs, f"{2 * maps + 1}: {takes}")
        items = list(outputs.items())
        super().check(dict(items[:maps]), row)
        height, width = row_size(row)
        strides = (*self.strides, _PROTOTYPE_STRIDE)
        self.sizes(dict(items[maps:]), [("coefficients", *cells_of(height, width, stride)) for stride in strides])

    def candidates(self, outputs: list[NDArray[Any]], row: Row) -> Candidates:
        return super().candidates(outputs[: len(self.strides)], row)

    def masks(
        self, outputs: list[NDArray[Any]], boxes: NDArray[np.float32], places: NDArray[np.int64], row: Row
    ) -> list[RLE]:
        *maps, prototypes = outputs[len(self.strides) :]
        coefficients = [values.reshape(len(values), -1) for values in maps]
        down, across = (_prototype_positions(row, axis) for axis in (0, 1))
        edges = np.ceil(to_original(clipped_to_picture(boxes, row), row)).astype(int)
        return [
            _mixed(prototypes, coefficients[index][:, cell], down, across, box)
            for (index, cell), box in zip(places.tolist(), edges.tolist(), strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class RowsWithMasks(Rows):
    """Boxes as `Rows` takes them, and one more output: their masks, as Mask R-CNN gives them (arXiv:1703.06870).

    The masks are probabilities [N, boxes, height, width], or [N, boxes, classes, height, width] with the classes as
    the graph numbers them. Each lies over its whole box: it is pasted into the original picture as by torchvision's
    paste_masks_in_image, where it is above 0.5.
    """

    gives_masks: ClassVar[bool] = True

    def check(self, outputs: Mapping[str, NDArray[Any]], row: Row) -> None:
        row_size(row)
        *rows, (name, masks) = outputs.items()
        super().check(dict(rows), row)
        boxes = rows[0][1].shape[1]
        if masks.ndim not in (4, 5) or masks.shape[1] != boxes:
            raise self.refused(name, masks, f"masks [N, {boxes}, height, width] or [N, {boxes}, classes, ...]")

    def candidates(self, outputs: list[NDArray[Any]], row: Row) -> Candidates:
        return super().candidates(outputs[:-1], row)

    def masks(
        self, outputs: list[NDArray[Any]], boxes: NDArray[np.float32], places: NDArray[np.int64], row: Row
    ) -> list[RLE]:
        *rows, masks = outputs
        by_class = masks.reshape(len(masks), -1, *masks.shape[-2:])
        classes = by_class.shape[1]
        channels = np.where(classes > 1, self.labels(rows)[places], 0)
        if channels.max(initial=0) >= classes:
            raise DataError(
                f"a box is of class {channels.max()} in the graph, and its masks are of {classes} classes",
                "correct model.outputs: the last one has the masks, with a channel for each of the graph's classes",
            )
        in_original = to_original_unclipped(boxes, row)
        chosen = zip(places.tolist(), channels.tolist(), in_original, strict=True)
        return [_pasted(by_class[place, channel], box, row) for place, channel, box in chosen]


def _prototype_positions(row: Row, axis: int) -> NDArray[np.float32]:
    """Return where the picture's pixels along an axis lie between the prototypes' samples, none of the padding."""
    assert row.original_size and row.scale
    before, after = (max(0, (row.padding or (0, 0, 0, 0))[side]) for side in (axis, axis + 2))
    pixels = np.arange(row.original_size[axis], dtype=np.float32)
    in_row = (pixels + 0.5) * row.scale[axis] + (row.padding[axis] if row.padding else 0)
    first, last = before / _PROTOTYPE_STRIDE, (row_size(row)[axis] - after) / _PROTOTYPE_STRIDE - 1
    return np.asarray(np.clip(in_row / _PROTOTYPE_STRIDE - 0.5, first, max(first, last)), np.float32)


def _mixed(
    prototypes: NDArray[Any],
    weights: NDArray[Any],
    down: NDArray[np.float32],
    across: NDArray[np.float32],
    box: tuple[int, int, int, int],
) -> RLE:
    """Return the mask of the box x1, y1, x2, y2 whose prototypes have the given weights.

    `down` and `across` are where the picture's rows and columns of pixels lie between the prototypes' samples.
    """
    size = len(down), len(across)
    left, top, right, bottom = box
    down, across = down[top:bottom], across[left:right]
    if not (len(down) and len(across)):
        return pasted(np.zeros((0, 0), bool), left, top, size)
    first_row, first_column = int(down[0]), int(across[0])
    near = prototypes[:, first_row : int(down[-1]) + 2, first_column : int(across[-1]) + 2]
    probabilities = sigmoid(np.tensordot(weights.astype(np.float32), near.astype(np.float32, copy=False), axes=1))
    inside = _resampled(probabilities, down - first_row, across - first_column) > LEAST_PROBABILITY
    return pasted(inside, left, top, size)


def _pasted(probabilities: NDArray[Any], box: NDArray[np.float32], row: Row) -> RLE:
    """Return the mask of a box x1, y1, x2, y2 in the original picture."""
    assert row.original_size
    framed = np.pad(probabilities.astype(np.float32, copy=False), _MARGIN)
    (top, down), (left, across) = (
        _frame_positions(box[axis], box[axis + 2], framed.shape[1 - axis], row.original_size[1 - axis])
        for axis in (1, 0)
    )
    return pasted(_resampled(framed, down, across) > LEAST_PROBABILITY, left, top, row.original_size)


def _frame_positions(
    lower: np.float32, upper: np.float32, samples: int, pixels: int
) -> tuple[int, NDArray[np.float32]]:
    """Return along an axis the first pixel of a box with its frame, and where its pixels lie between the samples."""
    centre, half = (lower + upper) / 2, (upper - lower) / 2 * np.float32(samples / (samples - 2 * _MARGIN))
    first, last = int(centre - half), int(centre + half)
    count = max(last - first + 1, 1)
    inside = np.arange(max(first, 0), min(first + count, pixels), dtype=np.float32)
    return max(first, 0), np.asarray((inside - first + 0.5) * (samples / count) - 0.5, np.float32)


def _resampled(
    values: NDArray[np.float32], down: NDArray[np.float32], across: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return values [rows, columns] at positions `down` [n] and `across` [m] between their samples, [n, m].

    Bilinear; positions before the first and after the last sample have its value.
    """
    return _between(_between(values, across, axis=1), down, axis=0)


def _between(values: NDArray[np.float32], positions: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    last = values.shape[axis] - 1
    positions = np.clip(positions, 0, last)
    before = positions.astype(np.int64)
    shares = np.expand_dims(positions - before, 1 - axis)
    lower, upper = values.take(before, axis), values.take(np.minimum(before + 1, last), axis)
    return np.asarray(lower + shares * (upper - lower), np.float32)

"""Decoders of the YOLO families' heads: maps [N, channels, height, width], one for each stride.

A cell at column x and row y of a map covers the pixels from (x, y) * stride to (x + 1, y + 1) * stride.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from runner.core import ConfigError
from runner.core.lazy import NDArray, np
from runner.data import Row
from runner.tasks.detection._anchor_boxes import cells_of
from runner.tasks.detection._decoder import (
    Candidates,
    SuppressingDecoder,
    from_centres,
    logit,
    row_size,
    sigmoid,
    together,
)

_CENTRE_FACTORS = {"v3": (1.0, 1.0, 1.0), "v4": (1.2, 1.1, 1.05), "v5": (2.0, 2.0, 2.0)}
"""How far a centre reaches, in cells: factor * sigmoid - (factor - 1) / 2; `scale_x_y` in darknet's yolov4.cfg."""


@dataclass(frozen=True, kw_only=True)
class _Maps(SuppressingDecoder):
    """A decoder of one map per stride; `strides` in pixels are in the outputs' order."""

    score: float = 0.001
    iou: float = 0.6
    keep: int = 300
    strides: Sequence[int] = (8, 16, 32)

    def check(self, outputs: Mapping[str, NDArray[Any]], row: Row) -> None:
        if len(outputs) != len(self.strides):
            raise self.miscounted(outputs, f"{len(self.strides)}, for the strides {list(self.strides)}")
        classes: set[int] = set()
        height, width = row_size(row)
        for index, ((name, array), stride) in enumerate(zip(outputs.items(), self.strides, strict=True)):
            rows, columns = cells_of(height, width, stride)
            takes = f"[N, {self.channels(index)}, {rows}, {columns}]"
            if array.ndim != 4 or array.shape[2:] != (rows, columns):
                raise self.refused(name, array, f"{takes} at stride {stride} of a {width}x{height} input")
            count = self.classes_of(index, array.shape[1])
            if count is None or count not in (classes or {count}):
                raise self.refused(name, array, f"{takes}, with as many classes in each output")
            classes.add(count)

    def candidates(self, outputs: list[NDArray[Any]], row: Row) -> Candidates:
        maps = (array.reshape(len(array), -1) for array in outputs)
        widths = (array.shape[2] for array in outputs)
        return together([self.of_map(index, *pair) for index, pair in enumerate(zip(maps, widths, strict=True))])

    @abstractmethod
    def channels(self, index: int) -> str:
        """Return the number of a map's channels, as a formula."""

    @abstractmethod
    def classes_of(self, index: int, channels: int) -> int | None:
        """Return the number of classes of a map with `channels`, None if it cannot have as many."""

    @abstractmethod
    def of_map(self, index: int, values: NDArray[Any], width: int) -> Candidates:
        """Return the candidates of a map [channels, cells], whose rows have `width` cells."""


@dataclass(frozen=True, kw_only=True)
class Anchored(_Maps):
    """Boxes relative to anchors, as YOLOv3, v4, v5 and v7 give them: [N, anchors * (5 + classes), height, width].

    `anchors` are widths and heights in pixels, [[w, h], ...] for each output. The channels of an anchor are x, y,
    width, height, objectness and classes. With s = sigmoid(channel), t = channel and the factor f of `style`, the
    centre is (f * s - (f - 1) / 2 + cell) * stride, the size anchor * exp(t), in v5 anchor * (2 * s) ** 2, and the
    score s(objectness) * s(class). Every class above `score` is a candidate of its own.
    Sources: arXiv:1804.02767 (v3), darknet's yolov4.cfg, github.com/ultralytics/yolov5 release 6 (v5, v7, and the v3 of
    the same repository's family).
    """

    anchors: Sequence[Sequence[Sequence[float]]]
    style: Literal["v3", "v4", "v5"] = "v5"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.anchors) != len(self.strides) or any(len(pair) != 2 for each in self.anchors for pair in each):
            raise ConfigError(
                f"model.decode.anchors has {len(self.anchors)} lists for the strides {list(self.strides)}",
                "give [[width, height], ...] in pixels for each stride",
            )
        if self.style not in _CENTRE_FACTORS or len(self.strides) > len(_CENTRE_FACTORS[self.style]):
            raise ConfigError(
                f"model.decode.style is {self.style!r} for {len(self.strides)} strides",
                f"choose {', '.join(_CENTRE_FACTORS)}, for at most three strides",
            )

    def channels(self, index: int) -> str:
        return f"{len(self.anchors[index])} * (5 + classes)"

    def classes_of(self, index: int, channels: int) -> int | None:
        each, rest = divmod(channels, len(self.anchors[index]))
        return None if rest or each < 6 else each - 5

    def of_map(self, index: int, values: NDArray[Any], width: int) -> Candidates:
        anchors = np.array(self.anchors[index], np.float32)
        by_anchor = values.reshape(len(anchors), -1, values.shape[1])
        # a class's score is at most the objectness
        likely = [np.flatnonzero(each[4] > logit(self.score)) for each in by_anchor]
        parts = [each.take(cells, axis=1) for each, cells in zip(by_anchor, likely, strict=True)]
        values = np.concatenate(parts, axis=1, dtype=np.float32)
        cells, anchors = np.concatenate(likely), anchors.repeat(list(map(len, likely)), axis=0)
        objectness = sigmoid(values[4])
        columns, found = _above(values[5:], self.score / objectness)
        factor, stride = self._factor(index), self.strides[index]
        centres = (factor * sigmoid(values[:2].T) - (factor - 1) / 2 + _corners(cells, width)) * stride
        sizes = (2 * sigmoid(values[2:4].T)) ** 2 if self.style == "v5" else np.exp(values[2:4].T)
        scores = objectness[found] * sigmoid(values[5 + columns, found])
        boxes = from_centres(centres, sizes * anchors)
        return Candidates(boxes[found], scores, self.indices(len(values) - 5)[columns])

    def _factor(self, index: int) -> float:
        factors = _CENTRE_FACTORS[self.style]
        return factors[index + len(factors) - len(self.strides)]  # a tiny network lacks the smallest stride


@dataclass(frozen=True, kw_only=True)
class Distances(_Maps):
    """Boxes by the distances of their sides from a cell's centre, as YOLOv8 and YOLO11 give them.

    Each map is [N, 4 * bins + classes, height, width]: for left, top, right and bottom the logits of `bins` distances,
    0 to bins - 1 strides, whose mean under the softmax is the distance (distribution focal loss, arXiv:2006.04388,
    section 3.2); then the logits of classes. Every class above `score` is a candidate of its own.
    """

    iou: float = 0.7
    bins: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bins < 2:
            raise ConfigError(
                f"model.decode.bins is {self.bins}", "give the number of distances per side of a box, such as 16"
            )

    def channels(self, index: int) -> str:
        return f"4 * {self.bins} + classes"

    def classes_of(self, index: int, channels: int) -> int | None:
        return channels - 4 * self.bins if channels > 4 * self.bins else None

    def of_map(self, index: int, values: NDArray[Any], width: int) -> Candidates:
        logits = values[4 * self.bins :]
        columns, found = np.nonzero(logits > logit(self.score))
        cells, places = np.unique(found, return_inverse=True)
        bins = np.take(values[: 4 * self.bins], cells, axis=1).astype(np.float32, copy=False).reshape(4, self.bins, -1)
        weights = np.exp(bins - bins.max(axis=1, keepdims=True, initial=-np.inf))
        sides = np.einsum("sbn,b->ns", weights, np.arange(self.bins, dtype=np.float32)) / weights.sum(axis=1).T
        centres = _corners(cells, width) + np.float32(0.5)
        boxes = np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], axis=1) * self.strides[index]
        scores, classes = sigmoid(logits[columns, found]), self.indices(len(logits))[columns]
        return Candidates(boxes[places], scores, classes, np.stack([np.full_like(found, index), found], axis=1))


@dataclass(frozen=True, kw_only=True)
class Yolox(_Maps):
    """YOLOX's maps [N, 4 + 1 + classes, height, width] (arXiv:2107.08430): x, y, width, height, objectness, classes.

    The centre is (t + cell) * stride, the size exp(t) * stride, and the score sigmoid(objectness) * sigmoid(class),
    of each cell's best class alone, as in github.com/Megvii-BaseDetection/YOLOX.
    """

    iou: float = 0.65

    def channels(self, index: int) -> str:
        return "5 + classes"

    def classes_of(self, index: int, channels: int) -> int | None:
        return channels - 5 if channels > 5 else None

    def of_map(self, index: int, values: NDArray[Any], width: int) -> Candidates:
        cells = np.flatnonzero(values[4] > logit(self.score))
        values = np.take(values, cells, axis=1).astype(np.float32, copy=False)
        columns = values[5:].argmax(axis=0)
        scores = sigmoid(values[4]) * sigmoid(values[5 + columns, np.arange(len(cells))])
        stride = self.strides[index]
        boxes = from_centres((values[:2].T + _corners(cells, width)) * stride, np.exp(values[2:4].T) * stride)
        found = Candidates(boxes, scores, self.indices(len(values) - 5)[columns])
        return found[scores > self.score]


def _corners(cells: NDArray[np.int64], width: int) -> NDArray[np.float32]:
    """Return column and row of cells [n] of a map `width` wide, [n, 2]."""
    return np.stack([cells % width, cells // width], axis=1).astype(np.float32)


def _above(logits: NDArray[np.float32], least: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return classes and columns of the logits [classes, n] whose sigmoid is above the `least` of the column."""
    columns, found = np.nonzero(logits > logit(np.minimum(least, 1)))
    return columns, found

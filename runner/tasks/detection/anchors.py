"""Decoders of heads that predict, for a fixed list of anchors, class logits and the way from anchor to box.

Outputs are class logits [N, anchors, classes] and box regressions [N, anchors, 4], in this order. SSD, RetinaNet and
FCOS are torchvision's (torchvision.models.detection), whose first class is the background.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from runner.core import ConfigError
from runner.core.lazy import NDArray, np
from runner.data import Row
from runner.tasks.detection._anchor_boxes import (
    LEVELS,
    cells_of,
    centred_anchors,
    corners_of,
    default_boxes,
    pyramid_anchors,
)
from runner.tasks.detection._decoder import (
    Candidates,
    Layout,
    SuppressingDecoder,
    clipped_to_picture,
    from_centres,
    logit,
    row_size,
    sigmoid,
    together,
)
from runner.tasks.detection.boxes import by_class

_LARGEST_GROWTH = math.log(1000 / 16)
"""Limit of the logarithm of a box's side in sides of its anchor, as in torchvision's BoxCoder."""


@dataclass(frozen=True, kw_only=True)
class _OfAnchors(SuppressingDecoder):
    layouts: ClassVar[tuple[Layout, ...]] = (("anchors", "classes"), ("anchors", 4))

    def check(self, outputs: Mapping[str, NDArray[Any]], row: Row) -> None:
        found = self.sizes(outputs, self.layouts)
        wanted = self.anchor_count(*row_size(row))
        if found["anchors"] != wanted:
            name, array = next(iter(outputs.items()))
            height, width = row_size(row)
            raise self.refused(name, array, f"[N, {wanted}, classes] for an input of {width}x{height}")

    def anchor_count(self, height: int, width: int) -> int:
        """Return the number of anchors of an input in pixels."""
        return sum(math.prod(cells_of(height, width, 2**level)) for level in LEVELS)


@dataclass(frozen=True, kw_only=True)
class Ssd(_OfAnchors):
    """SSD (arXiv:1512.02325) as in torchvision: a softmax of the class logits, the first class is the background.

    `grids` are the sides of the maps that the anchors lie on, `scales` the anchors' sizes as shares of the input, one
    more than grids, `aspect_ratios` those of each grid beside 1, and `steps` the pixels between anchors, by default
    the input's side / grid. Of each class the best `candidates_per_class` go into suppression.
    """

    score: float = 0.01
    iou: float = 0.45
    keep: int = 200
    grids: Sequence[int]
    scales: Sequence[float]
    aspect_ratios: Sequence[Sequence[float]]
    steps: Sequence[int] | None = None
    candidates_per_class: int = 400

    background: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        lengths = {len(self.grids), len(self.scales) - 1, len(self.aspect_ratios), len(self.steps or self.grids)}
        if len(lengths) > 1:
            raise ConfigError(
                "model.decode's grids, aspect_ratios, steps and scales are of different lengths",
                "give one of each per grid, and one more of scales",
            )

    def anchor_count(self, height: int, width: int) -> int:
        per_cell = (2 + 2 * len(ratios) for ratios in self.aspect_ratios)
        return sum(grid**2 * count for grid, count in zip(self.grids, per_cell, strict=True))

    def candidates(self, outputs: list[NDArray[Any]], row: Row) -> Candidates:
        logits, regressions = outputs
        # A class's probability is at most that beside the background alone.
        likely = logits[:, 1:].max(axis=1) - logits[:, 0] > logit(self.score)
        exponents = logits[likely].astype(np.float32)
        weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
        scores = weights / weights.sum(axis=1, keepdims=True)
        scores[:, 0] = 0
        found, columns = np.nonzero(scores > self.score)
        chosen = by_class(columns, scores[found, columns], self.candidates_per_class)
        found, columns = found[chosen], columns[chosen]
        places = np.flatnonzero(likely)[found]
        settings = (self.grids, self.scales, self.aspect_ratios, self.steps)
        anchors = default_boxes(*row_size(row), *map(_as_tuple, settings))
        steps = regressions[places] * np.array([0.1, 0.1, 0.2, 0.2], np.float32)
        boxes = clipped_to_picture(_moved(anchors[places], steps), row)
        return Candidates(boxes, scores[found, columns], self.indices(logits.shape[1])[columns])


@dataclass(frozen=True, kw_only=True)
class RetinaNet(_OfAnchors):
    """RetinaNet (arXiv:1708.02002) as in torchvision: a sigmoid of the class logits; column 0 is no class.

    Anchors are those of levels 3 to 7 for three sizes and three aspect ratios. Of each level the best 1000 candidates
    go into suppression.
    """

    score: float = 0.05
    iou: float = 0.5
    keep: int = 300

    background: ClassVar[int] = 1

    def anchor_count(self, height: int, width: int) -> int:
        return 9 * super().anchor_count(height, width)

    def candidates(self, outputs: list[NDArray[Any]], row: Row) -> Candidates:
        logits, regressions = outputs
        indices = self.indices(logits.shape[1])
        parts = []
        start = 0
        for anchors in pyramid_anchors(*row_size(row)):
            level = slice(start, start + len(anchors))
            start = level.stop
            found, columns = _best(logits[level], logit(self.score))
            boxes = clipped_to_picture(_moved(anchors[found], regressions[level][found]), row)
            parts.append(Candidates(boxes, sigmoid(logits[level][found, columns]), indices[columns]))
        return together(parts)


@dataclass(frozen=True, kw_only=True)
class Fcos(_OfAnchors):
    """FCOS (arXiv:1904.01355) as in torchvision, with a third output, centre-ness logits [N, anchors, 1].

    A box's sides are at the four predicted distances, in sides of the level's anchor (8 to 128 pixels), from a cell's
    upper left corner. The score is the root of sigmoid(class) * sigmoid(centre-ness); column 0 is no class. Of each
    level the best 1000 candidates go into suppression.
    """

    score: float = 0.2
    iou: float = 0.6
    keep: int = 100

    background: ClassVar[int] = 1
    layouts: ClassVar[tuple[Layout, ...]] = (("anchors", "classes"), ("anchors", 4), ("anchors", 1))

    def candidates(self, outputs: list[NDArray[Any]], row: Row) -> Candidates:
        logits, regressions, centreness = outputs
        indices = self.indices(logits.shape[1])
        parts = []
        start = 0
        height, width = row_size(row)
        for level in LEVELS:
            corners = corners_of(height, width, level)
            part = slice(start, start + len(corners))
            start = part.stop
            near = np.flatnonzero(centreness[part, 0] > logit(self.score**2))  # a score is at most its root
            classes = logits[part][near]
            scores = np.sqrt(sigmoid(classes) * sigmoid(centreness[part][near]))
            found, columns = _best(scores, self.score)
            sides = regressions[part][near[found]].astype(np.float32) * 2**level
            centres = corners[near[found]]
            boxes = np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], axis=1)
            parts.append(Candidates(clipped_to_picture(boxes, row), scores[found, columns], indices[columns]))
        return together(parts)


@dataclass(frozen=True, kw_only=True)
class EfficientDet(_OfAnchors):
    """EfficientDet (arXiv:1911.09070): a sigmoid of the class logits, and regressions ty, tx, th, tw from anchors.

    Anchors have the order of github.com/rwightman/efficientdet-pytorch: level 3 to 7, row, column, size, aspect ratio.
    `anchor_scale` is the smallest anchor's side in strides: 4, in D7 5. Of all the best 5000 go into suppression.
    """

    score: float = 0.001
    iou: float = 0.5
    keep: int = 100
    anchor_scale: float = 4.0

    def anchor_count(self, height: int, width: int) -> int:
        return 9 * super().anchor_count(height, width)

    def candidates(self, outputs: list[NDArray[Any]], row: Row) -> Candidates:
        logits, regressions = outputs
        found, columns = _best(logits, logit(self.score), most=5000)
        centres_and_sizes = centred_anchors(*row_size(row), self.anchor_scale)[found]
        ty, tx, th, tw = regressions[found].astype(np.float32).T
        centres, sizes = centres_and_sizes[:, :2], centres_and_sizes[:, 2:]
        boxes = from_centres(centres + np.stack([tx, ty], axis=1) * sizes, np.exp(np.stack([tw, th], axis=1)) * sizes)
        return Candidates(boxes, sigmoid(logits[found, columns]), self.indices(logits.shape[1])[columns])


def _best(
    values: NDArray[Any], least: NDArray[Any] | float, most: int = 1000
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of the `most` largest values above `least`, largest first, equal ones in their order."""
    flat = values.reshape(-1)
    found = np.flatnonzero(flat > least)
    if len(found) > most:
        found = found[flat[found] >= np.partition(flat[found], -most)[-most]]
    found = found[np.argsort(-flat[found], kind="stable")][:most]
    rows, columns = np.divmod(found, values.shape[1])
    return rows, columns


def _moved(anchors: NDArray[np.float32], steps: NDArray[Any]) -> NDArray[np.float32]:
    """Return the boxes [n, 4] that steps dx, dy, dw, dh lead to from anchors [n, 4] (x1, y1, x2, y2).

    Centres move by sides of the anchor, and sides grow by exp(dw) and exp(dh) (arXiv:1311.2524, appendix C).
    """
    sizes = anchors[:, 2:] - anchors[:, :2]
    centres = anchors[:, :2] + sizes / 2
    growth = np.exp(np.minimum(steps[:, 2:], np.float32(_LARGEST_GROWTH)))
    return from_centres(centres + steps[:, :2] * sizes, growth * sizes)


def _as_tuple(values: Any) -> Any:
    """Return nested lists, as YAML gives them, as tuples."""
    return tuple(map(_as_tuple, values)) if isinstance(values, (list, tuple)) else values

"""Decoder of DETR's set of boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.core.lazy import NDArray, np
from runner.data import Row
from runner.tasks.detection._decoder import BoxDecoder, Candidates, from_centres, row_size


@dataclass(frozen=True, kw_only=True)
class Detr(BoxDecoder):
    """Boxes that need no suppression (arXiv:2005.12872): logits [N, queries, classes + 1], boxes [N, queries, 4].

    The last class is "no object". A query's class is the best of the others, its score the probability under the
    softmax of all. Boxes are centre x, y, width and height as shares of the input.
    """

    score: float = 0.0

    def check(self, outputs: Mapping[str, NDArray[Any]], row: Row) -> None:
        self.sizes(outputs, [("queries", "classes + 1"), ("queries", 4)])

    def candidates(self, outputs: list[NDArray[Any]], row: Row) -> Candidates:
        logits, boxes = (output.astype(np.float32, copy=False) for output in outputs)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        columns = logits[:, :-1].argmax(axis=1)
        scores = weights[np.arange(len(weights)), columns] / weights.sum(axis=1)
        height, width = row_size(row)
        pixels = boxes * np.array([width, height] * 2, np.float32)
        classes = self.indices(logits.shape[1] - 1)[columns]
        return Candidates(from_centres(pixels[:, :2], pixels[:, 2:]), scores, classes)[scores > self.score]

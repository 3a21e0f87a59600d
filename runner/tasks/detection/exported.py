"""Decoders of models whose exported graph decodes boxes itself, or ends in non-maximum suppression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runner.core import ConfigError
from runner.core.lazy import NDArray, np
from runner.data import Row
from runner.tasks.detection._decoder import BoxDecoder, Candidates, Layout, SuppressingDecoder, from_centres

_ROWS: dict[int, tuple[tuple[Layout, ...], ...]] = {
    1: ((("boxes", 6),),),
    2: ((("boxes", 5), ("boxes",)), (("boxes", 5), ("boxes", 1))),
    3: ((("boxes", 4), ("boxes",), ("boxes",)), (("boxes", 4), ("boxes", 1), ("boxes", 1))),
}
"""The layouts that `Rows` takes, by the number of outputs."""


@dataclass(frozen=True, kw_only=True)
class Flat(SuppressingDecoder):
    """Boxes that the graph decoded, before suppression: centre x, y, width and height in pixels of the input.

    One output: [N, channels, boxes] as YOLOv8 is exported, or with `layout: boxes_first` [N, boxes, channels] as
    YOLOv5 is. Channels are the box, the objectness if `objectness`, and the classes' scores from 0 to 1. Every class
    whose score, times the objectness, is above `score` is a candidate of its own.
    """

    score: float = 0.001
    iou: float = 0.7
    keep: int = 300
    layout: Literal["channels_first", "boxes_first"] = "channels_first"
    objectness: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout not in ("channels_first", "boxes_first"):
            raise ConfigError(f"model.decode.layout is {self.layout!r}", "choose channels_first or boxes_first")

    def check(self, outputs: Mapping[str, NDArray[Any]], row: Row) -> None:
        before = 5 if self.objectness else 4
        channels = f"{before} + classes"
        axes = (channels, "boxes") if self.layout == "channels_first" else ("boxes", channels)
        if self.sizes(outputs, [axes])[channels] <= before:
            name, array = next(iter(outputs.items()))
            raise self.refused(name, array, f"[N, {', '.join(axes)}]; see its argument layout")

    def candidates(self, outputs: list[NDArray[Any]], row: Row) -> Candidates:
        values = outputs[0] if self.layout == "channels_first" else outputs[0].T
        classes = values[4:]
        if self.objectness:
            likely = np.flatnonzero(values[4] > self.score)
            values = values[:, likely]
            classes = values[5:] * values[4]
        columns, found = np.nonzero(classes > self.score)
        x, y, width, height = values[:4, found].astype(np.float32, copy=False)
        boxes = from_centres(np.stack([x, y], axis=1), np.stack([width, height], axis=1))
        return Candidates(
            boxes, classes[columns, found].astype(np.float32, copy=False), self.indices(len(classes))[columns]
        )


@dataclass(frozen=True, kw_only=True)
class Rows(BoxDecoder):
    """Boxes after suppression inside the graph, as x1, y1, x2, y2 in pixels of the input; unused rows score 0 or less.

    One output [N, boxes, 6]: box, score, class; or two: boxes with scores [N, boxes, 5], classes [N, boxes]; or three:
    boxes [N, boxes, 4], classes [N, boxes], scores [N, boxes]. `first_class` is the number of the data set's first
    class in the graph: 1 where 0 is the background.
    """

    score: float = 0.0
    first_class: int = 0

    def check(self, outputs: Mapping[str, NDArray[Any]], row: Row) -> None:
        known = _ROWS.get(len(outputs))
        if known is None:
            raise self.miscounted(outputs, "one [N, boxes, 6], two or three: boxes, classes, scores")
        last = list(outputs.values())[-1]
        self.sizes(outputs, known[-1] if last.ndim == 3 else known[0])

    def candidates(self, outputs: list[NDArray[Any]], row: Row) -> Candidates:
        scores = (outputs[2] if len(outputs) == 3 else outputs[0][:, 4]).reshape(-1).astype(np.float32)
        classes = self._classes(self.labels(outputs))
        found = Candidates(outputs[0][:, :4].astype(np.float32), scores, classes, np.arange(len(scores)))
        return found[scores > self.score]

    def labels(self, outputs: list[NDArray[Any]]) -> NDArray[np.int64]:
        """Return the class of each row [boxes] as the graph numbers it."""
        return (outputs[1] if len(outputs) > 1 else outputs[0][:, 5]).reshape(-1).astype(np.int64)

    def _classes(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.categories is None:
            return np.maximum(labels - self.first_class, -1)
        table = self.indices(91)
        return np.where((labels >= 0) & (labels < len(table)), table[np.clip(labels, 0, len(table) - 1)], -1)

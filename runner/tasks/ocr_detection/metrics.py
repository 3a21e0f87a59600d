"""Precision, recall and their harmonic mean of polygons, as the ICDAR 2015 competition counts them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from runner.core import ConfigError, DataError, Figure
from runner.core.lazy import NDArray, np
from runner.tasks.ocr_detection.polygons import Polygons


class Hmean:
    """Matches polygons one to one at an IoU above `iou`; words marked as ignored count for nothing.

    A polygon found counts for nothing if more than half of it lies in an ignored word. As the competition's own script
    does (rrc.cvc.uab.es, Incidental Scene Text, task 4.1), each word takes the first polygon that matches it.
    """

    def __init__(self, iou: float = 0.5) -> None:
        self.figures = {name: Figure(unit="percent", better="higher") for name in ("precision", "recall", "hmean")}
        self._iou = iou
        self._shapely = _shapely()
        self._matched = self._found = self._words = 0

    def add(self, results: Sequence[Polygons], truths: Sequence[Mapping[str, Any]]) -> None:
        """Match the polygons found in some pictures with their words.

        Raises:
            DataError: a result or a truth is not of text detection.
        """
        for result, truth in zip(results, truths, strict=True):
            if not isinstance(result, Polygons) or "polygons" not in truth:
                raise DataError(
                    f"hmean compares polygons, and was given a {type(result).__name__}",
                    "name a decoder of runner.tasks.ocr_detection in model.decode",
                )
            self._add(result, truth)

    def _add(self, result: Polygons, truth: Mapping[str, Any]) -> None:
        given = [self._shapely.Polygon(points) for points in truth["polygons"]]
        usable = [index for index, polygon in enumerate(given) if polygon.is_valid and polygon.area > 0]
        words = np.array([given[index] for index in usable], dtype=object)
        ignored = np.array([truth["ignored"][index] for index in usable], dtype=bool)
        found = np.array([self._shapely.Polygon(points) for points in result.points], dtype=object)
        found = found[self._shapely.is_valid(found)] if len(found) else found
        shared = self._shared(words, found)
        own = self._shapely.area(found) if len(found) else np.zeros(0)
        excused = (shared[ignored] > 0.5 * own).any(axis=0) if len(found) else np.zeros(0, bool)
        union = (self._shapely.area(words) if len(words) else np.zeros(0))[:, None] + own[None, :] - shared
        matches = (shared > self._iou * union) & ~ignored[:, None] & ~excused[None, :]
        taken = np.zeros(len(found), bool)
        for row in matches:
            free = np.flatnonzero(row & ~taken)
            taken[free[:1]] = True
        self._matched += int(taken.sum())
        self._found += int((~excused).sum())
        self._words += int((~ignored).sum())

    def _shared(self, words: NDArray[Any], found: NDArray[Any]) -> NDArray[np.float64]:
        """Return the area that each word shares with each polygon found [words, found]."""
        if not len(words) or not len(found):
            return np.zeros((len(words), len(found)))
        areas: NDArray[np.float64] = self._shapely.area(self._shapely.intersection(words[:, None], found[None, :]))
        return areas

    def merge(self, other: Hmean) -> None:
        """Add the other's counts."""
        self._matched += other._matched
        self._found += other._found
        self._words += other._words

    def compute(self) -> dict[str, float]:
        """Return the three in percent, 0 where nothing was found or is there."""
        precision = 100.0 * self._matched / max(1, self._found)
        recall = 100.0 * self._matched / max(1, self._words)
        both = precision + recall
        return {"precision": precision, "recall": recall, "hmean": 2 * precision * recall / both if both else 0.0}


def _shapely() -> Any:
    try:
        return importlib.import_module("shapely")
    except ImportError as error:
        raise ConfigError("hmean needs shapely", "pip install 'model-zoo-runner[ocr]'") from error

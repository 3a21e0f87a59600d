"""Metric of label maps: the confusion matrix over the whole data set, and the field's figures of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.core import ConfigError, DataError, Figure
from runner.core.lazy import NDArray, np
from runner.tasks.segmentation.maps import UNSEEN

VALUES = 256
"""Of a byte."""
_SHARE = Figure(unit="percent", better="higher")


class ConfusionMatrix:
    """Pixels by true and predicted class, counted over all pictures; figures in percent.

    With I the pixels of a class in truth and prediction, T in the truth and P in the prediction:

    - `miou`: the mean over classes of I / (T + P - I), as in PASCAL VOC and Cityscapes;
    - `class_accuracy`: the mean over classes of I / T, mmsegmentation's mAcc;
    - `pixel_accuracy`: the sum of I over the sum of T, its aAcc;
    - `dice`: the mean over classes of 2 I / (T + P), the F1 score of pixels.

    A class without pixels has no share in a mean. `classes` is the number of the network's channels; one channel tells
    two classes. Unlabelled pixels are treated by one of two rules:

    - `ignore`: pixels with this value in the truth count nowhere, whatever was predicted (255 in Cityscapes, VOC and
      most others);
    - `void`: a class of the network for what belongs to no other. Its true pixels are wrong predictions of the class
      predicted there (they count in P), predicting it is a miss, and it has no share in the figures itself (CamVid as
      in SegNet's and ESPNet's evaluation).

    Pixels that preprocessing cut off before the network saw them are left out, as guides do that crop pictures.
    """

    def __init__(self, classes: int, ignore: int | None = None, void: int | None = None) -> None:
        self.figures = dict.fromkeys(("miou", "class_accuracy", "pixel_accuracy", "dice"), _SHARE)
        self._classes = max(2, classes)
        self._ignore = ignore
        _check("classes", classes, 1, UNSEEN)
        _check("ignore", ignore, 0, VALUES - 1)
        _check("void", void, 0, self._classes - 1)
        self._measured = [number for number in range(self._classes) if number not in (void, ignore)]
        self._pixels = np.zeros((VALUES, VALUES), np.int64)

    def add(self, results: Sequence[NDArray[np.uint8]], truths: Sequence[NDArray[np.uint8]]) -> None:
        """Count the pixels of some pictures: predicted and true label maps [height, width].

        Raises:
            DataError: a prediction has another size than its truth, or one of them has values that are no class.
        """
        for result, truth in zip(results, truths, strict=True):
            if result.shape != truth.shape:
                raise DataError(
                    f"a label map is {list(result.shape)}, and its truth {list(truth.shape)}",
                    "set model.decode to runner.tasks.segmentation.Maps, which gives maps of the picture's own size",
                )
            # both bytes as one number: a single pass, whatever the values
            pairs = truth.astype(np.uint16)
            pairs <<= 8
            pairs |= result
            self._pixels += np.bincount(pairs.ravel(), minlength=VALUES * VALUES).reshape(VALUES, VALUES)
        self._check_values(self._pixels.sum(axis=1), "the truth", self._ignore)
        self._check_values(self._pixels.sum(axis=0), "the network", UNSEEN)

    def _check_values(self, pixels: NDArray[np.int64], holder: str, allowed: int | None) -> None:
        strange = [value for value in np.flatnonzero(pixels) if value >= self._classes and value != allowed]
        if strange:
            raise DataError(
                f"{holder} says class {strange[-1]}, and dataset.metrics counts {self._classes} classes, from 0",
                "choose a dataset= with the network's classes; set `ignore` of the metric to the value of pixels that "
                "do not count, or `classes` to the number of classes with `void`, the one that belongs to no other",
            )

    def merge(self, other: ConfusionMatrix) -> None:
        """Add the other's pixels."""
        self._pixels += other._pixels

    @property
    def matrix(self) -> NDArray[np.int64]:
        """The pixels that count, [true class, predicted class]; void is one of the classes."""
        counted = self._pixels[: self._classes, : self._classes].copy()
        if self._ignore is not None and self._ignore < self._classes:
            counted[self._ignore] = 0
        return counted

    def compute(self) -> dict[str, float]:
        """Return the figures over everything added; NaN if no class has pixels."""
        matrix = self.matrix
        both = np.diag(matrix)[self._measured].astype(np.float64)
        true, predicted = (matrix.sum(axis=axis)[self._measured] for axis in (1, 0))
        return {
            "miou": _mean_percent(both, true + predicted - both),
            "class_accuracy": _mean_percent(both, true),
            "pixel_accuracy": _mean_percent(both.sum(keepdims=True), true.sum(keepdims=True)),
            "dice": _mean_percent(2 * both, true + predicted),
        }


def _check(name: str, value: Any, least: int, most: int) -> None:
    if value is not None and (not isinstance(value, int) or not least <= value <= most):
        raise ConfigError(
            f"dataset.metrics: {name} of the confusion matrix is {value!r}", f"give a whole number, {least} to {most}"
        )


def _mean_percent(parts: NDArray[Any], wholes: NDArray[Any]) -> float:
    """Return the mean of 100 * parts / wholes where there is a whole."""
    there = wholes > 0
    return float(100.0 * (parts[there] / wholes[there]).mean()) if there.any() else float("nan")

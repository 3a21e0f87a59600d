"""Metrics of class scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.errors import DataError

BACKGROUND_CLASSES = 1001


def top_k(outputs: NDArray[Any], labels: NDArray[Any], k: int) -> NDArray[np.float64]:
    """100 where the label is among the k largest of [N, classes], else 0; of equal scores the lower class ranks first.

    A net with 1001 outputs has a background class at 0, so its labels count one up, as in the guides' evaluator.

    Raises:
        DataError: outputs are not [N, classes], or a label is no class of theirs.
    """
    scores = class_scores(outputs)
    labels = labels + 1 if scores.shape[1] == BACKGROUND_CLASSES else labels
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        wrong = labels[(labels < 0) | (labels >= scores.shape[1])][0]
        raise DataError(
            f"label {wrong} is no class of a network with {scores.shape[1]} outputs",
            "choose the label file that belongs to the model: classes count from 0",
        )
    own = scores[np.arange(len(scores)), labels][:, None]
    before = np.arange(scores.shape[1]) < labels[:, None]
    rank = np.count_nonzero((scores > own) | ((scores == own) & before), axis=1)
    return np.where(rank < k, 100.0, 0.0)


def agreement(outputs: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float64]:
    """100 where both pick the same class or action (argmax of [N, classes]), else 0."""
    same = class_scores(outputs).argmax(axis=1) == class_scores(reference).argmax(axis=1)
    return np.where(same, 100.0, 0.0)


def class_scores(outputs: NDArray[Any]) -> NDArray[Any]:
    """The outputs as [N, classes]; trailing axes of size 1 are dropped.

    Raises:
        DataError: they are something else.
    """
    if outputs.ndim < 2 or any(size != 1 for size in outputs.shape[2:]):
        raise DataError(
            f"outputs of shape {list(outputs.shape)} are not class scores [N, classes]",
            "choose a data set whose metrics fit the model's first output",
        )
    return outputs.reshape(outputs.shape[:2])


def are_class_scores(outputs: NDArray[Any]) -> bool:
    """Whether there are samples and it is [N, classes] of several classes, trailing axes of size 1 aside."""
    return outputs.ndim >= 2 and outputs.size > 0 and outputs[0].size == outputs.shape[1] > 1

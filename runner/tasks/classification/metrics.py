"""Metrics of class scores."""

from __future__ import annotations

from typing import Any

from runner.core import DataError
from runner.core.lazy import NDArray, np
from runner.tasks.metrics import measured_in
from runner.tasks.similarity import class_scores

BACKGROUND_CLASSES = 1001


@measured_in("percent", better="higher", is_share=True)
def top_k(outputs: NDArray[Any], labels: NDArray[Any], k: int) -> NDArray[np.float64]:
    """Return 100 where the label is among the top k of [N, classes], else 0; of equal scores the lower class wins.

    A network with 1001 outputs has a background class 0, so labels are shifted by 1, as in the guides' evaluator.

    Raises:
        DataError: outputs are not [N, classes], or a label is out of range.
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

"""Metrics of generated images."""

from __future__ import annotations

from typing import Any

from runner.core.lazy import NDArray, np
from runner.tasks.metrics import measured_in
from runner.tasks.similarity import cosine


@measured_in("percent", better="higher")
def cosine_accuracy(outputs: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float64]:
    """Return the DCGAN guide's `acc` in percent: 100 * (cosine + 1) / 2 (its dcgan_acc_eval.py), [N]."""
    return 100.0 * (cosine(outputs, reference) + 1.0) / 2.0

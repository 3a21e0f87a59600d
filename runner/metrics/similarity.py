"""Metrics of how close two arrays are, a sample at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mean_absolute_difference(outputs: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float64]:
    """Mean of |outputs - reference| over each sample's elements, [N]."""
    return np.asarray(np.abs(_rows(outputs) - _rows(reference)).mean(axis=1), dtype=np.float64)


def cosine(outputs: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine of the angle between each sample's vectors, [N]; 1 where both are zero, 0 where one is."""
    left, right = _rows(outputs), _rows(reference)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    both_zero = ~left.any(axis=1) & ~right.any(axis=1)
    safe = np.where(norms > 0, norms, 1.0)
    return np.where(norms > 0, np.einsum("ij,ij->i", left, right) / safe, both_zero.astype(np.float64))


def cosine_accuracy(outputs: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float64]:
    """The DCGAN guide's `acc`, in percent: 100 * (cosine + 1) / 2 (its dcgan_acc_eval.py), [N]."""
    return 100.0 * (cosine(outputs, reference) + 1.0) / 2.0


def _rows(array: NDArray[Any]) -> NDArray[np.float64]:
    return array.reshape(len(array), -1).astype(np.float64)

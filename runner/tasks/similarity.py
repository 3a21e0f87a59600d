"""Similarity of two arrays per sample: metrics against PyTorch's outputs, usable in every task."""

from __future__ import annotations

from typing import Any

from runner.core import DataError
from runner.core.lazy import NDArray, np
from runner.tasks.metrics import measured_in


@measured_in("", better="lower")
def mean_absolute_difference(outputs: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of |outputs - reference| over each sample's elements, [N]."""
    return np.asarray(np.abs(_rows(outputs) - _rows(reference)).mean(axis=1), dtype=np.float64)


@measured_in("", better="higher")
def cosine(outputs: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cosine similarity per sample, [N]; 1 if both vectors are zero, 0 if only one is."""
    left, right = _rows(outputs), _rows(reference)
    return cosine_of(*(np.einsum("ij,ij->i", *pair) for pair in ((left, right), (left, left), (right, right))))


def cosine_of(
    products: NDArray[np.float64], left: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return cosines [N] from vectors' inner products and from the squares of the left and the right ones' norms."""
    norms = np.sqrt(left) * np.sqrt(right)
    both_zero = (left == 0) & (right == 0)
    return np.where(norms > 0, products / np.where(norms > 0, norms, 1.0), both_zero.astype(np.float64))


@measured_in("percent", better="higher", is_share=True)
def agreement(outputs: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float64]:
    """Return 100 where both have the same class or action (argmax of [N, classes]), else 0."""
    same = class_scores(outputs).argmax(axis=1) == class_scores(reference).argmax(axis=1)
    return np.where(same, 100.0, 0.0)


def class_scores(outputs: NDArray[Any]) -> NDArray[Any]:
    """Return the outputs as [N, classes], without trailing axes of size 1.

    Raises:
        DataError: they have another shape.
    """
    if outputs.ndim < 2 or any(size != 1 for size in outputs.shape[2:]):
        raise DataError(
            f"outputs of shape {list(outputs.shape)} are not class scores [N, classes]",
            "choose a data set whose metrics fit the model's first output",
        )
    return outputs.reshape(outputs.shape[:2])


def are_class_scores(outputs: NDArray[Any]) -> bool:
    """Return whether it is [N > 0, classes > 1], ignoring trailing axes of size 1."""
    return outputs.ndim >= 2 and outputs.size > 0 and outputs[0].size == outputs.shape[1] > 1


def _rows(array: NDArray[Any]) -> NDArray[np.float64]:
    return array.reshape(len(array), -1).astype(np.float64)

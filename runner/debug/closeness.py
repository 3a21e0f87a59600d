"""Compare two arrays, and decide whether they are close enough. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from runner.core.lazy import NDArray, np
from runner.tasks import agreement, are_class_scores, cosine

RTOL = 1e-3
"""Relative to a tensor's largest value. Another order of summation changes float32 by about 1e-5 of it in deep
networks, and simplify's own check uses the same limit; a wrong constant changes far more."""
ATOL = 1e-6
"""For tensors that cancel to about zero: the rounding error of float32 values around 10."""


@dataclass(frozen=True)
class Closeness:
    """How close an array is to a reference.

    `largest` is the reference's largest absolute value, `max_abs` the largest difference, `max_rel` that difference
    relative to `largest`; `cosine` is the mean over the rows of the first axis. `exact` says that both hold integers,
    `not_finite` how many values of the reference are NaN or infinite. `incomparable` says why the other fields mean
    nothing (shapes differ, or NaN and infinity are in other places), else it is empty.
    """

    shape: tuple[int, ...]
    largest: float
    max_abs: float
    max_rel: float
    cosine: float
    top1_agreement: float | None
    exact: bool
    not_finite: int
    incomparable: str = ""


class Limit(Protocol):
    """A criterion for close enough."""

    def holds(self, close: Closeness) -> bool:
        """Whether the two arrays agree within this limit."""


@dataclass(frozen=True)
class Tolerance:
    """The largest difference is at most `atol` + `rtol` * the reference's largest value; integers are equal."""

    rtol: float = RTOL
    atol: float = ATOL

    def holds(self, close: Closeness) -> bool:
        allowed = 0.0 if close.exact else self.atol + self.rtol * close.largest
        return not close.incomparable and close.max_abs <= allowed

    def __str__(self) -> str:
        return f"max abs <= {self.atol:g} + {self.rtol:g} of the largest value"


@dataclass(frozen=True)
class CosineFloor:
    """The cosine is at least `cosine`: for results computed in another precision."""

    cosine: float

    def holds(self, close: Closeness) -> bool:
        return not close.incomparable and close.cosine >= self.cosine

    def __str__(self) -> str:
        return f"cosine >= {self.cosine:g}"


def closeness(actual: NDArray[Any], reference: NDArray[Any]) -> Closeness:
    """Compare two arrays of numbers of any shape and type."""
    exact = all(np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_ for array in (actual, reference))
    finite = np.isfinite(reference)
    not_finite = int(finite.size - np.count_nonzero(finite))
    reason = _incomparable(actual, reference)
    if reason:
        infinite = float("inf")
        return Closeness(reference.shape, 0.0, infinite, infinite, 0.0, None, exact, not_finite, reason)
    left, right = (np.where(finite, array, 0).astype(np.float64) for array in (actual, reference))
    largest = float(np.abs(right).max(initial=0.0))
    max_abs = float(np.abs(left - right).max(initial=0.0))
    return Closeness(
        shape=reference.shape,
        largest=largest,
        max_abs=max_abs,
        max_rel=max_abs / largest if largest else float("inf") if max_abs else 0.0,
        cosine=float(cosine(_rows(left), _rows(right)).mean()) if left.size else 1.0,
        top1_agreement=float(agreement(left, right).mean()) if are_class_scores(left) else None,
        exact=exact,
        not_finite=not_finite,
    )


def _incomparable(actual: NDArray[Any], reference: NDArray[Any]) -> str:
    if actual.shape != reference.shape:
        return f"its shape is {list(actual.shape)}, not {list(reference.shape)}"
    bad, wanted = ~np.isfinite(actual), ~np.isfinite(reference)
    if not np.array_equal(bad, wanted):
        return f"NaN or infinite are {np.count_nonzero(bad)} of its values, not {np.count_nonzero(wanted)}, or others"
    if not np.array_equal(actual[bad], reference[bad], equal_nan=not np.issubdtype(actual.dtype, np.integer)):
        return "NaN and infinity stand in each other's places"
    return ""


def _rows(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.ndim > 1 else array.reshape(1, -1)

"""Decoding: from a model's outputs to the results that metrics score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from runner.config import targets
from runner.config.targets import Target
from runner.core.lazy import NDArray
from runner.data import Row

Results: TypeAlias = "Sequence[Any] | NDArray[Any]"
"""One result per row."""


class Decode(Protocol):
    """Converts outputs to results: a function, or a frozen dataclass with the arguments beside `_target_` as fields."""

    def __call__(self, outputs: Mapping[str, NDArray[Any]], rows: Sequence[Row]) -> Results:
        """Return one result per row; `outputs` are [N, ...] by name, in the model's declared order."""


def first_output(outputs: Mapping[str, NDArray[Any]], rows: Sequence[Row]) -> NDArray[Any]:
    """Return the model's first output unchanged: class scores, images, action values."""
    return next(iter(outputs.values()))


def decode_of(target: Target | None) -> Decode:
    """Return the decode function of a target; the first output unchanged for None.

    Raises:
        ConfigError: it cannot be found, or does not take its arguments.
    """
    if target is None:
        return first_output
    bound: Decode = targets.bind(target, positional=2)
    return bound

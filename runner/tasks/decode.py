"""Decoding: from a model's outputs to the results that metrics score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from runner.config import targets
from runner.config.targets import Target
from runner.core import ConfigError
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


METADATA = "metadata:"
"""Begins an argument that stands for what an ONNX file from outside says of itself, as in metadata:character."""


def decode_of(target: Target | None, metadata: Mapping[str, str] | None = None) -> Decode:
    """Return the decode function of a target; the first output unchanged for None.

    Arguments `metadata:KEY` are replaced by the lines of the ONNX file's `metadata`, if it is given.

    Raises:
        ConfigError: it cannot be found, does not take its arguments, or there is no such metadata.
    """
    if target is None:
        return first_output
    if metadata is not None:
        arguments = {name: _from_metadata(value, metadata) for name, value in target.arguments.items()}
        target = Target(target.name, arguments, target.place)
    bound: Decode = targets.bind(target, positional=2)
    return bound


def reads_metadata(target: Target | None) -> bool:
    """Return whether arguments of a decoder stand for an ONNX file's metadata."""
    return target is not None and any(
        isinstance(value, str) and value.startswith(METADATA) for value in target.arguments.values()
    )


def _from_metadata(value: Any, metadata: Mapping[str, str]) -> Any:
    if not isinstance(value, str) or not value.startswith(METADATA):
        return value
    key = value.removeprefix(METADATA)
    if key not in metadata:
        raise ConfigError(
            f"model.decode asks for {value}, and the ONNX file has no such metadata",
            f"it has {', '.join(metadata) or 'none'}",
        )
    return metadata[key].splitlines()

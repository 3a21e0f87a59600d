"""Readers: where samples come from. A data set's YAML names one as `reader._target_`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from runner.artifacts import Samples, TensorSpec
from runner.errors import Fault
from runner.preprocess import Geometry

Policy = Callable[[NDArray[Any]], int]
"""The network as a player: one stored state [*shape] -> the action with the largest Q value."""

HashFiles = Callable[[Path, Sequence[Path]], Sequence[str]]
"""(root, paths relative to it) -> their SHA-256 digests, remembered between runs."""


@dataclass(frozen=True)
class Request:
    """What a model asks of its samples. `limit` is the number of samples wanted, None for all."""

    inputs: tuple[TensorSpec, ...]
    geometry: Geometry
    limit: int | None
    seed: int


class Reader(Protocol):
    """A source of samples: a frozen dataclass whose fields are the arguments beside `_target_`."""

    @property
    def needs_policy(self) -> bool:
        """Whether samples can only be made with the network at hand."""

    @property
    def seeded(self) -> bool:
        """Whether the samples follow from the request's seed; where not, it is 0."""

    def faults(self, request: Request) -> list[Fault]:
        """Everything wrong that can be seen without reading the samples themselves."""

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        """What the samples will be made from, as JSON-like data: names, digests, labels. Makes the stage's key.

        None where fields and request say it all. Call it, and what follows, only where there are no faults.
        """

    def stored_bytes(self, request: Request) -> int:
        """What the samples will take on the disk."""

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        """Write the samples into the folder `out`."""

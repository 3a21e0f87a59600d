"""Protocol of readers, the sources of samples. A data set's YAML names its reader as `reader._target_`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from runner.core import Problem, Samples, TensorSpec
from runner.core.lazy import NDArray
from runner.data.preprocess import Geometry

Policy = Callable[["NDArray[Any]"], int]
"""A greedy policy: one stored state [*shape] -> the action with the largest Q value."""

HashFiles = Callable[[Path, Sequence[Path]], Sequence[str]]
"""(root, paths relative to it) -> their SHA-256 digests, cached between runs."""


@dataclass(frozen=True)
class Request:
    """A model's requirements for samples. `limit` is the number of samples to prepare, None for all."""

    inputs: tuple[TensorSpec, ...]
    geometry: Geometry
    limit: int | None
    seed: int


class Reader(Protocol):
    """A source of samples: a frozen dataclass whose fields are the arguments beside `_target_`.

    It may have a property `has_truth` too: whether its samples have ground truth, known before they are read. One
    without it is taken to have some.
    """

    @property
    def needs_policy(self) -> bool:
        """Whether making samples requires the network."""

    @property
    def seeded(self) -> bool:
        """Whether the samples depend on the request's seed; if not, the seed is 0."""

    def validate(self, request: Request) -> list[Problem]:
        """Return all problems that can be detected without reading the samples themselves."""

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        """Return what the samples are made from as JSON-like data (names, digests, labels), for the cache key.

        None if fields and request determine the samples. This and the methods below require valid settings.
        """

    def stored_bytes(self, request: Request) -> int:
        """Return the size of the samples on disk."""

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        """Write the samples into the folder `out`."""

"""Inference tools: one narrow adapter each. A tool's YAML names one as `adapter._target_`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from runner.artifacts import CompiledModel, Timing
from runner.batches import Batch
from runner.errors import Fault


@dataclass(frozen=True)
class Placement:
    """What a tool runs on."""

    soc: str
    kind: str
    devices: tuple[int, ...]


@dataclass(frozen=True)
class MeasuringLimits:
    """Measure until both minima are met, but no longer than `max_seconds`; `warmup` calls go before."""

    warmup: int
    min_iterations: int
    min_seconds: float
    max_seconds: float


class Tool(Protocol):
    """A frozen dataclass whose fields are the arguments beside `_target_`."""

    def version(self) -> str:
        """Its name and version, found without starting or importing it."""

    def faults(self, placement: Placement) -> list[Fault]:
        """What keeps it from running here."""

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch]
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Outputs by name, [batch, ...] for each batch in order, padding included."""

    def measure(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
    ) -> Timing:
        """Time calls on one batch of inputs [batch, ...]."""

"""Inference tools: one narrow adapter each. A tool's YAML names one as `adapter._target_`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from runner.artifacts import CompiledModel, TensorSpec, Timing
from runner.batches import Batch
from runner.errors import Fault


@dataclass(frozen=True)
class Placement:
    """What a tool runs on. `devices` are chips; a card has `chips` of them, and throughput is told per card."""

    soc: str
    kind: str
    devices: tuple[int, ...]
    soc_version: str | None = None
    chips: int = 1


@dataclass(frozen=True)
class MeasuringLimits:
    """Measure until both minima are met, but no longer than `max_seconds`; `warmup` calls go before."""

    warmup: int
    min_iterations: int
    min_seconds: float
    max_seconds: float


@dataclass(frozen=True)
class Measuring:
    """What `measure` does: whether it takes the inputs that it is given, and whether in the process that calls it."""

    takes_inputs: bool
    in_process: bool


@dataclass(frozen=True)
class Foreseen:
    """What a dry run knows of a run: the files' places, not their content."""

    model: Path
    batch: int
    inputs: tuple[TensorSpec, ...]
    samples: Path
    one_batch: Path
    """The first batch alone, which a measurement repeats."""
    results: Path


@dataclass(frozen=True)
class Command:
    """An external program's command line, and the stage that runs it."""

    stage: str
    argv: tuple[str, ...]


class Tool(Protocol):
    """A frozen dataclass whose fields are the arguments beside `_target_`."""

    def version(self) -> str:
        """Its name and version, found without importing it; part of the keys of what it makes."""

    def neutral(self, stage: str) -> tuple[str, ...]:
        """Its arguments that do not change what `infer` or `benchmark` makes, such as a time-out; in no key."""

    def faults(self, placement: Placement) -> list[Fault]:
        """What keeps it from running here."""

    def measuring(self) -> Measuring:
        """What its measurement is made on, and where."""

    def commands(self, foreseen: Foreseen, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """The command lines that `infer` and `measure` would run, in order; none for a tool in this process."""

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Outputs by name, [batch, ...] for each batch in order, padding included; `work` is a folder for files."""

    def measure(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """Time calls on one batch of inputs [batch, ...]."""

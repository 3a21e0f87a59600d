"""Protocol of inference tools. A tool's YAML names its adapter as `adapter._target_`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from runner import measure
from runner.core import Command, CompiledModel, Placement, Problem, TensorSpec, Timing
from runner.core.lazy import NDArray
from runner.data import Batch
from runner.measure import MeasuringLimits


@dataclass(frozen=True)
class Measuring:
    """How `measure` works: whether it uses the given inputs, and whether it runs in the calling process.

    `includes_copies` is whether latencies include the copies between host and device.
    """

    takes_inputs: bool
    in_process: bool
    includes_copies: bool = False


@dataclass(frozen=True, kw_only=True)
class DryRunPaths:
    """Placeholder paths for the commands that a dry run prints."""

    model: Path
    batch: int
    inputs: tuple[TensorSpec, ...]
    batches: tuple[int, ...] = ()
    """The batch sizes of a model that was compiled for several."""
    is_range: bool = False
    """Whether it was compiled for all shapes between several, and not for each."""
    samples: Path
    one_batch: Path
    """The first batch, which a measurement repeats."""
    results: Path


@runtime_checkable
class PathChecking(Protocol):
    """A tool or a compiler that takes paths of certain characters alone."""

    def path_problems(self, folder: Path) -> list[Problem]:
        """Return the problems of the paths of files in this folder."""


@runtime_checkable
class DeviceLocking(Protocol):
    """A tool that locks its devices itself, since they may be another host's."""

    def using_devices(self, placement: Placement, purpose: str, *, is_shared: bool) -> AbstractContextManager[None]:
        """Use the placement's devices alone, or beside others that share them; wait until that is possible."""


def using_devices(tool: Tool, placement: Placement, purpose: str, *, is_shared: bool) -> AbstractContextManager[None]:
    """Use the tool's devices alone, or beside others that share them; wait until that is possible.

    Raises:
        StoreError: a lock's file cannot be used. ToolError: the same, or no connection, where they are another host's.
    """
    use = tool.using_devices if isinstance(tool, DeviceLocking) else measure.using_devices
    return use(placement, purpose, is_shared=is_shared)


class Tool(Protocol):
    """A frozen dataclass with the arguments beside `_target_` as fields."""

    def version(self) -> str:
        """Return its name and version without importing it; part of the cache keys of its results."""

    def excluded_from_key(self, stage: str) -> tuple[str, ...]:
        """Return the arguments that do not affect the result of stage `infer` or `benchmark`, such as a timeout."""

    def validate(self, placement: Placement, inputs: Sequence[TensorSpec] = ()) -> list[Problem]:
        """Return the problems that prevent it from running here; `inputs` are the model's, if one is chosen."""

    def measuring(self) -> Measuring:
        """Return how it measures."""

    def commands(self, paths: DryRunPaths, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """Return the command lines of `infer` and `measure`, in order; none for a tool in this process."""

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the outputs of each batch by name [batch, ...], including padding; `work` is a folder for files."""

    def measure(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """Measure calls on one batch of inputs [batch, ...]."""

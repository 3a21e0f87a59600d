"""Protocol of compilers from ONNX to a tool's format. A tool's YAML names its compiler as `compiler._target_`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from runner.core import Placement, Problem, TensorSpec
from runner.data import Normalisation


@dataclass(frozen=True, kw_only=True)
class CompileRequest:
    """What to compile. `is_static` is whether the ONNX model supports only this batch size and these shapes.

    `flags` are the model's own flags; `aipp` is the normalisation to do on the card, if any. `gears` are the shapes to
    compile for, the inputs of each, the most common first, if `inputs` have free sizes. `batches` are the batch sizes,
    ascending, if several; `batch` is the largest then. `is_range` asks for all shapes between these, and not for each.
    """

    model: Path
    inputs: tuple[TensorSpec, ...]
    batch: int
    is_static: bool
    placement: Placement
    flags: Mapping[str, Any]
    aipp: Normalisation | None = None
    gears: tuple[tuple[TensorSpec, ...], ...] = ()
    batches: tuple[int, ...] = ()
    is_range: bool = False


def per_axis(
    choose: Callable[[tuple[int, ...]], int], gears: Sequence[tuple[TensorSpec, ...]]
) -> tuple[TensorSpec, ...]:
    """Return the inputs with what `choose` returns for the gears' sizes on each axis."""
    return tuple(
        tensors[0].at([choose(sizes) for sizes in zip(*(tensor.shape for tensor in tensors), strict=True)])
        for tensors in zip(*gears, strict=True)
    )


class Compiler(Protocol):
    """A frozen dataclass with the arguments beside `_target_` as fields."""

    def version(self) -> str:
        """Return its name and version without running it; part of the cache keys of its results."""

    def excluded_from_key(self) -> tuple[str, ...]:
        """Return the arguments that do not affect its result, such as a timeout."""

    def validate(
        self, placement: Placement, flags: Mapping[str, Any], opset: int, inputs: Sequence[TensorSpec] = ()
    ) -> list[Problem]:
        """Return the problems that prevent it from running here, and an unsupported ONNX opset or flags.

        `inputs` are the model's, if one is chosen.
        """

    def commands(self, request: CompileRequest, out: Path) -> list[tuple[str, ...]]:
        """Return the command lines, in order, that compile the request to `out` (a path without suffix)."""

    def compile(self, request: CompileRequest, out: Path) -> Path:
        """Compile to `out` (a path without suffix); return the compiled file."""

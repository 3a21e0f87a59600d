"""Protocol of compilers from ONNX to a tool's format. A tool's YAML names its compiler as `compiler._target_`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from runner.core import Placement, Problem, TensorSpec
from runner.data import Normalisation


@dataclass(frozen=True, kw_only=True)
class CompileRequest:
    """What to compile. `fixed_batch` is whether the ONNX model supports only this batch size.

    `flags` are the model's own flags; `aipp` is the normalisation to do on the card, if any. `gears` are the shapes to
    compile for, the inputs of each, if `inputs` have free sizes.
    """

    model: Path
    inputs: tuple[TensorSpec, ...]
    batch: int
    fixed_batch: bool
    placement: Placement
    flags: Mapping[str, Any]
    aipp: Normalisation | None = None
    gears: tuple[tuple[TensorSpec, ...], ...] = ()


class Compiler(Protocol):
    """A frozen dataclass with the arguments beside `_target_` as fields."""

    def version(self) -> str:
        """Return its name and version without running it; part of the cache keys of its results."""

    def excluded_from_key(self) -> tuple[str, ...]:
        """Return the arguments that do not affect its result, such as a timeout."""

    def validate(self, placement: Placement, flags: Mapping[str, Any], opset: int) -> list[Problem]:
        """Return the problems that prevent it from running here, and an unsupported ONNX opset or flags."""

    def commands(self, request: CompileRequest, out: Path) -> list[tuple[str, ...]]:
        """Return the command lines, in order, that compile the request to `out` (a path without suffix)."""

    def compile(self, request: CompileRequest, out: Path) -> Path:
        """Compile to `out` (a path without suffix); return the compiled file."""

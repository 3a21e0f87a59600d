"""Compilers: ONNX -> what a tool loads. A tool's YAML names one as `compiler._target_`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from runner.artifacts import TensorSpec
from runner.errors import Fault
from runner.preprocess import Normalisation
from runner.tools import Placement


@dataclass(frozen=True)
class CompileRequest:
    """What is compiled. `fixed_batch` is whether the ONNX model is for this batch size alone.

    `flags` are the model's own flags; `aipp` is the normalisation that the card does, if any.
    """

    model: Path
    inputs: tuple[TensorSpec, ...]
    batch: int
    fixed_batch: bool
    placement: Placement
    flags: Mapping[str, Any]
    aipp: Normalisation | None = None


class Compiler(Protocol):
    """A frozen dataclass whose fields are the arguments beside `_target_`."""

    def version(self) -> str:
        """Its name and version, found without running it; part of the keys of what it makes."""

    def neutral(self) -> tuple[str, ...]:
        """Its arguments that do not change what it makes, such as a time-out; in no key."""

    def faults(self, placement: Placement, flags: Mapping[str, Any], opset: int) -> list[Fault]:
        """What keeps it from running here, and an ONNX opset or flags that it does not take."""

    def commands(self, request: CompileRequest, out: Path) -> list[tuple[str, ...]]:
        """The command lines, in order, that would compile the request to `out` (a path without suffix)."""

    def compile(self, request: CompileRequest, out: Path) -> Path:
        """Compile to `out` (a path without suffix); returns the file that was made."""

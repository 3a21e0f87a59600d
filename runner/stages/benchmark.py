"""Latency of the compiled model, alone on its device."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner import targets
from runner.artifacts import CompiledModel, TensorSpec, Timing
from runner.measuring import exclusive
from runner.targets import Target
from runner.tools import MeasuringLimits, Placement, Tool


@dataclass(frozen=True)
class BenchmarkSpec:
    """`machine` names the host, its processor and its cores: a measurement counts for the same machine only."""

    tool: Target
    tool_version: str
    placement: Placement
    limits: MeasuringLimits
    machine: tuple[str, ...]


def benchmark(spec: BenchmarkSpec, model: CompiledModel, out: Path) -> Timing:
    """Time one batch of random inputs while nothing else is measured on the device."""
    inputs = random_inputs(model.inputs, model.batch)
    tool: Tool = targets.call(spec.tool)
    work = out / "work"
    work.mkdir()
    with exclusive(spec.placement):
        timing = tool.measure(model, spec.placement, inputs, spec.limits, work)
    shutil.rmtree(work)
    return timing


def random_inputs(inputs: tuple[TensorSpec, ...], batch: int) -> dict[str, NDArray[Any]]:
    """One batch of N(0, 1) values for each input, [batch, ...]; small integers for integer types. Seeded."""
    generator = np.random.default_rng(0)
    arrays: dict[str, NDArray[Any]] = {}
    for tensor in inputs:
        values = generator.standard_normal((batch, *tensor.shape), dtype=np.float32)
        kind = np.dtype(tensor.dtype)
        arrays[tensor.name] = (np.abs(values) if kind.kind in "iu" else values).astype(kind)
    return arrays

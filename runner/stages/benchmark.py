"""Latency of the compiled model, alone on its device."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from runner import batches, random_inputs, targets
from runner.artifacts import CompiledModel, Samples, Timing
from runner.measuring import exclusive
from runner.preprocess import Normalisation
from runner.targets import Target
from runner.tools import MeasuringLimits, Placement, Tool, isolated


@dataclass(frozen=True)
class BenchmarkSpec:
    """`machine` names the host, its processor and its cores: a measurement counts for the same machine only.

    `normalisation` is that of real samples; None on random inputs, and where the card does it (AIPP). `isolate`
    measures in a process of its own.
    """

    tool: Target
    tool_version: str
    placement: Placement
    limits: MeasuringLimits
    machine: tuple[str, ...]
    normalisation: Normalisation | None = None
    isolate: bool = False


def benchmark(spec: BenchmarkSpec, model: CompiledModel, samples: Samples | None = None, *, out: Path) -> Timing:
    """Time the first batch of the samples, or one of random inputs, while nothing else is measured on the device.

    Raises:
        ToolError: the tool fails. DataError: the samples cannot be read.
    """
    inputs = _inputs(spec, model, samples)
    work = out / "work"
    work.mkdir()
    with exclusive(spec.placement):
        if spec.isolate:
            timing = isolated.measure(spec.tool, model, spec.placement, inputs, spec.limits, work)
        else:
            tool: Tool = targets.call(spec.tool)
            timing = tool.measure(model, spec.placement, inputs, spec.limits, work)
    shutil.rmtree(work)
    return timing


def _inputs(spec: BenchmarkSpec, model: CompiledModel, samples: Samples | None) -> Mapping[str, NDArray[Any]]:
    if samples is None:
        return random_inputs.batch_of(model.inputs, model.batch)
    return next(batches.iterate(samples, spec.normalisation, model.batch)).inputs

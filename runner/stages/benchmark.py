"""Latency of the compiled model, alone on its device."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from runner import onnx_files, targets
from runner.artifacts import CompiledModel, Timing
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
    inputs = onnx_files.random_feeds(model.inputs, model.batch)
    tool: Tool = targets.call(spec.tool)
    work = out / "work"
    work.mkdir()
    with exclusive(spec.placement):
        timing = tool.measure(model, spec.placement, inputs, spec.limits, work)
    shutil.rmtree(work)
    return timing

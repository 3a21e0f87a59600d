"""Stage `benchmark`: latency of the compiled model, with exclusive use of the device."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.config import hooks, targets
from runner.config.callables import Target
from runner.core import CompiledModel, OperatorTime, Placement, Samples, Timing, now
from runner.core.lazy import NDArray
from runner.data import Normalisation, batches, random_inputs
from runner.measure import MeasuringLimits
from runner.tools import ProfilingTool, Tool, command_line, isolated, using_devices


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec:
    """`machine` is host name, processor and core count, since a measurement is valid for the same machine only.

    `normalisation` is that of real samples; None for random inputs, and if the card normalises (AIPP). `isolate`
    measures in a separate process; `profile` has the tool tell the slowest operators afterwards. `batch` is the batch
    size to measure of a model that serves several, None for others.
    """

    tool: Target
    tool_version: str
    placement: Placement
    limits: MeasuringLimits
    machine: tuple[str, ...]
    normalisation: Normalisation | None = None
    real_inputs: bool = False
    isolate: bool = False
    batch: int | None = None
    profile: bool = False


def benchmark(spec: BenchmarkSpec, model: CompiledModel, samples: Samples | None = None, *, out: Path) -> Timing:
    """Measure the first batch of the samples, or a batch of random inputs, with the device locked.

    A model with inputs of free sizes is measured in the shape that most samples have.

    Raises:
        ToolError: the tool fails. DataError: the samples cannot be read.
    """
    model = model if spec.batch is None else model.of_batch(spec.batch)
    indices = None
    if samples is not None and any(tensor.is_free for tensor in model.inputs):
        shapes = list(batches.shapes_of(samples))
        chosen = Counter(shapes).most_common(1)[0][0]
        model, indices = model.at(chosen), [index for index, each in enumerate(shapes) if each == chosen]
    inputs = _inputs(spec, model, samples if spec.real_inputs else None, indices)
    work = out / "work"
    work.mkdir()
    tool: Tool = targets.call(spec.tool)
    with using_devices(tool, spec.placement, "benchmark", is_shared=False):
        if spec.isolate:
            timing = isolated.measure(spec.tool, model, spec.placement, inputs, spec.limits, work)
        else:
            measured = tool.measure(model, spec.placement, inputs, spec.limits, work)
            timing = hooks.checked(measured, Timing, tool.measure)
        if spec.profile:
            timing = replace(timing, operators=_slowest_operators(tool, spec, model, inputs, work / "profile"))
    shutil.rmtree(work)
    return replace(timing, measured_at=now())


def _slowest_operators(
    tool: Tool, spec: BenchmarkSpec, model: CompiledModel, inputs: Mapping[str, NDArray[Any]], work: Path
) -> tuple[OperatorTime, ...]:
    assert isinstance(tool, ProfilingTool)
    return tool.profile(model, spec.placement, inputs, command_line.new_folder(work))


def _inputs(
    spec: BenchmarkSpec, model: CompiledModel, samples: Samples | None, indices: list[int] | None
) -> Mapping[str, NDArray[Any]]:
    if samples is None:
        return random_inputs.batch_of(model.inputs, model.batch)
    return next(batches.iterate(samples, spec.normalisation, model.batch, indices)).inputs

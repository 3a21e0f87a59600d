"""Stage `benchmark`: latency of the compiled model, with exclusive use of the device."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from runner.config import targets
from runner.config.targets import Target
from runner.core import CompiledModel, Placement, Samples, Timing
from runner.core.lazy import NDArray
from runner.data import Normalisation, batches, random_inputs
from runner.measure import MeasuringLimits, exclusive
from runner.tools import Tool, isolated


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec:
    """`machine` is host name, processor and core count, since a measurement is valid for the same machine only.

    `normalisation` is that of real samples; None for random inputs, and if the card normalises (AIPP). `isolate`
    measures in a separate process.
    """

    tool: Target
    tool_version: str
    placement: Placement
    limits: MeasuringLimits
    machine: tuple[str, ...]
    normalisation: Normalisation | None = None
    real_inputs: bool = False
    isolate: bool = False


def benchmark(spec: BenchmarkSpec, model: CompiledModel, samples: Samples | None = None, *, out: Path) -> Timing:
    """Measure the first batch of the samples, or a batch of random inputs, with the device locked.

    A model with inputs of free sizes is measured in the shape that most samples have.

    Raises:
        ToolError: the tool fails. DataError: the samples cannot be read.
    """
    indices = None
    if samples is not None and any(tensor.is_free for tensor in model.inputs):
        shapes = list(batches.shapes_of(samples))
        chosen = Counter(shapes).most_common(1)[0][0]
        model, indices = model.at(chosen), [index for index, each in enumerate(shapes) if each == chosen]
    inputs = _inputs(spec, model, samples if spec.real_inputs else None, indices)
    work = out / "work"
    work.mkdir()
    with exclusive(spec.placement):
        if spec.isolate:
            timing = isolated.measure(spec.tool, model, spec.placement, inputs, spec.limits, work)
        else:
            tool: Tool = targets.call(spec.tool)
            timing = tool.measure(model, spec.placement, inputs, spec.limits, work)
    shutil.rmtree(work)
    return replace(timing, measured_at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"))


def _inputs(
    spec: BenchmarkSpec, model: CompiledModel, samples: Samples | None, indices: list[int] | None
) -> Mapping[str, NDArray[Any]]:
    if samples is None:
        return random_inputs.batch_of(model.inputs, model.batch)
    return next(batches.iterate(samples, spec.normalisation, model.batch, indices)).inputs

"""Stage `infer`: run the compiled model on all samples."""

from __future__ import annotations

import math
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from runner.config import targets
from runner.config.targets import Target
from runner.core import ComparisonError, CompiledModel, Placement, Predictions, Samples, track
from runner.core.lazy import NDArray
from runner.data import Batch, Normalisation, batches, predictions, rows
from runner.tools import Tool


@dataclass(frozen=True, kw_only=True)
class InferSpec:
    """`normalisation` is None if the card normalises (AIPP)."""

    tool: Target
    tool_version: str
    placement: Placement
    batch: int
    normalisation: Normalisation | None


def infer(spec: InferSpec, model: CompiledModel, samples: Samples, out: Path) -> Predictions:
    """Write the outputs of every sample, in order, to `out`/predictions.npz.

    Raises:
        ToolError: the tool fails. ComparisonError: its outputs differ from the model's declaration.
    """
    tool: Tool = targets.call(spec.tool)
    work = out / "work"
    work.mkdir()
    with track("infer", samples.count, "samples") as advance:

        def fed() -> Iterator[Batch]:
            for batch in batches.one_ahead(batches.iterate(samples, spec.normalisation, spec.batch)):
                yield batch
                advance(len(batch.ids))

        names = [tensor.name for tensor in model.outputs]
        outputs = _outputs(tool, spec.placement, model, fed(), work)
        fixed = [tensor for tensor in model.outputs if not tensor.is_free]
        largest = max(fixed, key=lambda tensor: math.prod(tensor.shape), default=None)
        written = predictions.write(out / "predictions.npz", names, rows.ids(samples.path), outputs, largest)
    shutil.rmtree(work)
    return written


def _outputs(
    tool: Tool, placement: Placement, model: CompiledModel, fed: Iterable[Batch], work: Path
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield each batch's outputs by name, without padding; the tool is called for each run of batches of one shape."""
    lengths: deque[int] = deque()

    def counted(run: Iterable[Batch]) -> Iterator[Batch]:
        for batch in run:
            lengths.append(len(batch.ids))
            yield batch

    is_free = any(tensor.is_free for tensor in model.inputs)
    for number, (shapes, run) in enumerate(groupby(fed, key=_shapes)):
        folder = work / str(number)
        folder.mkdir()
        for outputs in tool.infer(model.at(shapes) if is_free else model, placement, counted(run), folder):
            if not lengths:
                raise ComparisonError("more batches came out than went in", "look for a failure in the tool's log")
            length = lengths.popleft()
            yield {name: array[:length] for name, array in outputs.items()}


def _shapes(batch: Batch) -> list[tuple[int, ...]]:
    return [array.shape[1:] for array in batch.inputs.values()]

"""Stage `infer`: run the compiled model on all samples."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.config import targets
from runner.config.targets import Target
from runner.core import CompiledModel, Placement, Predictions, Samples, track
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
    with track("infer", samples.count, "samples") as advance:

        def fed() -> Iterator[Batch]:
            for batch in batches.one_ahead(batches.iterate(samples, spec.normalisation, spec.batch)):
                yield batch
                advance(len(batch.ids))

        work = out / "work"
        work.mkdir()
        names = [tensor.name for tensor in model.outputs]
        outputs = tool.infer(model, spec.placement, fed(), work)
        written = predictions.write(out / "predictions.npz", names, rows.ids(samples.path), outputs)
        shutil.rmtree(work)
        return written

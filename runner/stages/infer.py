"""Samples through the compiled model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner import batches, predictions, targets
from runner.artifacts import CompiledModel, Predictions, Samples
from runner.batches import Batch
from runner.preprocess import Normalisation
from runner.progress import track
from runner.targets import Target
from runner.tools import Placement, Tool


@dataclass(frozen=True)
class InferSpec:
    """`normalisation` is None where the card does it (AIPP)."""

    tool: Target
    tool_version: str
    placement: Placement
    batch: int
    normalisation: Normalisation | None


def infer(spec: InferSpec, model: CompiledModel, samples: Samples, out: Path) -> Predictions:
    """Outputs of every sample, in order, in `out`/predictions.npz.

    Raises:
        ToolError: the tool fails. ComparisonError: its outputs are not those that the model declares.
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
        written = predictions.write(out / "predictions.npz", names, samples.ids, outputs)
        shutil.rmtree(work)
        return written

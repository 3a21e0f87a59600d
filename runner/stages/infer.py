"""Samples through the compiled model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner import batches, predictions, targets
from runner.artifacts import CompiledModel, Predictions, Samples
from runner.batches import Batch
from runner.preprocess import Normalisation
from runner.progress import track
from runner.targets import Target
from runner.tools import Placement


@dataclass(frozen=True)
class InferSpec:
    tool: Target
    tool_version: str
    placement: Placement
    batch: int
    normalisation: Normalisation


def infer(spec: InferSpec, model: CompiledModel, samples: Samples, out: Path) -> Predictions:
    """Outputs of every sample, in order, in `out`/predictions.npz.

    Raises:
        ToolError: the tool fails. ComparisonError: its outputs are not those that the model declares.
    """
    tool = targets.call(spec.tool)
    with track("infer", samples.count, "samples") as advance:

        def fed() -> Iterator[Batch]:
            for batch in batches.iterate(samples, spec.normalisation, spec.batch):
                yield batch
                advance(len(batch.ids))

        outputs = tool.infer(model, spec.placement, fed())
        return predictions.write(out / "predictions.npz", model.outputs, samples.ids, outputs)

"""Stage `invariance`: check whether a model's outputs depend on the batch size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.core import BatchComparison, Predictions
from runner.tasks import fidelity


@dataclass(frozen=True)
class InvarianceSpec:
    """The other batch size to compare with."""

    other_batch: int


def invariance(spec: InvarianceSpec, inferred: Predictions, other: Predictions, out: Path) -> BatchComparison:
    """Compare each output with that of the same samples at another batch size.

    Raises:
        ComparisonError: the two cannot be compared.
    """
    return BatchComparison(spec.other_batch, fidelity.compare(inferred, other))

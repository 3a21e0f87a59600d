"""Stage `score`: accuracy against ground truth or PyTorch, and fidelity to PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from runner.config.targets import Target
from runner.core import ConfigError, DataError, Predictions, Samples, Scores
from runner.data import predictions, rows
from runner.tasks import Decode, decode_of, fidelity, metric_of


@dataclass(frozen=True)
class ScoreSpec:
    """`decode` converts outputs to results, None for the first output; `scored_against` is "labels" or "reference"."""

    decode: Target | None
    scored_against: str
    metrics: dict[str, Target]


def score(spec: ScoreSpec, inferred: Predictions, expected: Predictions, samples: Samples, out: Path) -> Scores:
    """Score the tool's outputs against ground truth or PyTorch's outputs, and compare every output with PyTorch's.

    Raises:
        ComparisonError: NaN or infinity anywhere, outputs of other names or shapes, samples that do not match.
        DataError: the data set has no ground truth, or it does not fit.
    """
    metrics = [metric_of(name, target) for name, target in spec.metrics.items()]
    figures = {name: figure for metric in metrics for name, figure in metric.figures.items()}
    if len(figures) < sum(len(metric.figures) for metric in metrics):
        raise ConfigError(
            f"dataset.metrics: two metrics have a figure of one name among {', '.join(figures)}",
            "leave one of them out",
        )
    closeness = fidelity.compare(inferred, expected)
    against = _against_reference if spec.scored_against == "reference" else _against_truth
    for results, truths in against(decode_of(spec.decode), inferred, expected, samples):
        for metric in metrics:
            metric.add(results, truths)
    accuracy = {name: float(value) for metric in metrics for name, value in metric.compute().items()}
    return Scores(accuracy=accuracy, figures=figures, samples=inferred.count, fidelity=closeness)


Scored = tuple[Any, Any]
"""Results, and the truths they are scored against."""


def _against_reference(
    decode: Decode, inferred: Predictions, expected: Predictions, samples: Samples
) -> Iterator[Scored]:
    facts = enumerate(rows.read(samples.path))
    for pair in fidelity.pairs(inferred, expected):
        chunk = [next(row for index, row in facts if index == wanted) for wanted in pair.rows]
        yield decode(pair.outputs, chunk), decode(pair.reference, chunk)


def _against_truth(decode: Decode, inferred: Predictions, expected: Predictions, samples: Samples) -> Iterator[Scored]:
    if not samples.has_truth:
        raise DataError(
            "the metrics of this data set need labels, and it has none",
            "give dataset.labels=FILE, or a data set whose metrics compare with PyTorch",
        )
    facts = rows.read(samples.path)
    for outputs in predictions.iterate_all(inferred, fidelity.CHUNK):
        chunk = list(islice(facts, len(next(iter(outputs.values())))))
        yield decode(outputs, chunk), [row.truth for row in chunk]

"""Stage `score`: accuracy against ground truth or PyTorch, and fidelity to PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from runner.config.callables import Target
from runner.core import (
    ComparedAccuracy,
    ConfigError,
    DataError,
    Fidelity,
    Figure,
    OnnxModel,
    Predictions,
    Samples,
    Scores,
)
from runner.data import Row, predictions, rows, storage, whole_samples
from runner.data.whole_samples import Outputs, Sides
from runner.tasks import Metric, Results, decode_of, decoded, fidelity, metric_of, results_of, values_of


@dataclass(frozen=True)
class ScoreSpec:
    """`decode` converts outputs to results, None for the first output; `scored_against` is "labels" or "reference".

    `classifies` is whether outputs [N, classes] are scores of classes; metrics that count samples as right or wrong say
    so too.
    """

    decode: Target | None
    scored_against: str
    metrics: dict[str, Target]
    classifies: bool = False


def score(
    spec: ScoreSpec,
    inferred: Predictions,
    expected: Predictions,
    samples: Samples,
    model: OnnxModel | None = None,
    *,
    out: Path,
) -> Scores:
    """Score the tool's outputs against ground truth or PyTorch's outputs, and compare every output with PyTorch's.

    `model` is the ONNX model from outside whose metadata the decoder reads.

    Raises:
        ComparisonError: NaN or infinity anywhere, outputs of other names or shapes, samples that do not match.
        DataError: the data set has no ground truth, or it does not fit.
    """
    decode = decode_of(spec.decode, model.metadata if model else None)
    scored = _Tally(spec)
    classifies = spec.classifies or any(figure.is_share for figure in scored.figures.values())
    comparison = fidelity.Comparison(inferred.outputs, classifies)
    pairs = _pairs(inferred, expected, samples, comparison)
    if spec.scored_against == "reference":
        for outputs, reference, its_rows in pairs:
            results, truths = (results_of(decode, each, its_rows) for each in (outputs, reference))
            scored.add(results, its_rows, truths)
        return scored.scores(comparison.fidelity())
    if not samples.has_truth:
        raise DataError(
            "the metrics of this data set need labels, and it has none",
            "give dataset.labels=FILE, or a data set whose metrics compare with PyTorch",
        )
    by_reference, by_tool = _Tally(spec), _Tally(spec)
    is_part = expected.count < samples.count
    for outputs, reference, its_rows in pairs:
        by_reference.add(results_of(decode, reference, its_rows), its_rows)
        if is_part:
            by_tool.add(results_of(decode, outputs, its_rows), its_rows)
    for results, its_rows in decoded(inferred, samples, decode):
        scored.add(results, its_rows)
    scores = scored.scores(comparison.fidelity())
    same = by_tool.accuracy() if is_part else scores.accuracy
    return replace(scores, compared=ComparedAccuracy(by_reference.samples, same, by_reference.accuracy()))


class _Tally:
    """A data set's metrics over the samples added so far."""

    def __init__(self, spec: ScoreSpec) -> None:
        self.metrics: list[Metric] = [metric_of(name, target) for name, target in spec.metrics.items()]
        self.figures: dict[str, Figure] = {}
        for metric in self.metrics:
            self.figures |= metric.figures
        if len(self.figures) < sum(len(metric.figures) for metric in self.metrics):
            raise ConfigError(
                f"dataset.metrics: two metrics have a figure of one name among {', '.join(self.figures)}",
                "leave one of them out",
            )
        self.samples = 0

    def add(self, results: Results, rows: Sequence[Row], truths: Any = None) -> None:
        """Score the results of some rows' samples, against the samples' own ground truth if none is given."""
        firsts = [rows[span.start] for span in whole_samples.spans(rows)]
        for metric in self.metrics:
            metric.add(results, [row.truth for row in firsts] if truths is None else truths)
        self.samples += len(firsts)

    def accuracy(self) -> dict[str, float]:
        """Return the metrics' values by name."""
        return {name: value for metric in self.metrics for name, value in values_of(metric).items()}

    def scores(self, closeness: dict[str, Fidelity]) -> Scores:
        """Return the scores of everything added."""
        return Scores(accuracy=self.accuracy(), figures=self.figures, samples=self.samples, fidelity=closeness)


def _pairs(
    inferred: Predictions, expected: Predictions, samples: Samples, comparison: fidelity.Comparison
) -> Iterator[tuple[Outputs, Outputs, list[Row]]]:
    """Yield both sides' outputs of the whole samples that PyTorch computed, with their rows; all are compared."""

    def chunks() -> Iterator[tuple[Sides, list[Row]]]:
        places = fidelity.places_of(predictions.read_ids(expected.path), rows.ids(samples.path))
        facts = storage.facts(samples.path, places)
        for pair in fidelity.pairs(inferred, expected):
            comparison.add(pair)
            yield (pair.outputs, pair.reference), list(islice(facts, len(pair.rows)))

    for (outputs, reference), its_rows in whole_samples.regrouped(chunks()):
        yield outputs, reference, its_rows

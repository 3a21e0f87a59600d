"""Stage `score`: accuracy against ground truth or PyTorch, and fidelity to PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from runner.config.targets import Target
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
from runner.core.lazy import NDArray, np
from runner.data import Row, predictions, storage
from runner.tasks import Decode, Metric, decode_of, fidelity, metric_of

Outputs = Mapping[str, "NDArray[Any]"]
Sides = tuple[Outputs, ...]
"""The outputs [N, ...] of the same rows, of one side or of several."""


@dataclass(frozen=True)
class ScoreSpec:
    """`decode` converts outputs to results, None for the first output; `scored_against` is "labels" or "reference"."""

    decode: Target | None
    scored_against: str
    metrics: dict[str, Target]


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
    scored, comparison = _Tally(spec, decode), fidelity.Comparison(inferred.outputs)
    pairs = _pairs(inferred, expected, samples, comparison)
    if spec.scored_against == "reference":
        for outputs, reference, rows in pairs:
            scored.add(outputs, rows, decode(reference, rows))
        return scored.scores(comparison.fidelity())
    if not samples.has_truth:
        raise DataError(
            "the metrics of this data set need labels, and it has none",
            "give dataset.labels=FILE, or a data set whose metrics compare with PyTorch",
        )
    by_reference, by_tool = _Tally(spec, decode), _Tally(spec, decode)
    is_part = expected.count < inferred.count
    for outputs, reference, rows in pairs:
        by_reference.add(reference, rows)
        if is_part:
            by_tool.add(outputs, rows)
    for outputs, rows in _all_rows(inferred, samples):
        scored.add(outputs, rows)
    scores = scored.scores(comparison.fidelity())
    same = by_tool.accuracy() if is_part else scores.accuracy
    return replace(scores, compared=ComparedAccuracy(by_reference.samples, same, by_reference.accuracy()))


class _Tally:
    """A data set's metrics over the samples added so far."""

    def __init__(self, spec: ScoreSpec, decode: Decode) -> None:
        self.decode = decode
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

    def add(self, outputs: Outputs, rows: Sequence[Row], truths: Any = None) -> None:
        """Decode the rows of whole samples and score them, against the samples' own ground truth if none is given."""
        results = self.decode(outputs, rows)
        firsts = [row for index, row in enumerate(rows) if index == 0 or row.sample_id != rows[index - 1].sample_id]
        if len(results) != len(firsts):
            raise DataError(
                f"model.decode returned {len(results)} results for {len(rows)} rows of {len(firsts)} samples",
                "return one result per sample: consecutive rows with one `sample` belong together (tiles, crops)",
            )
        for metric in self.metrics:
            metric.add(results, [row.truth for row in firsts] if truths is None else truths)
        self.samples += len(firsts)

    def accuracy(self) -> dict[str, float]:
        """Return the metrics' values by name."""
        return {name: float(value) for metric in self.metrics for name, value in metric.compute().items()}

    def scores(self, closeness: dict[str, Fidelity]) -> Scores:
        """Return the scores of everything added."""
        return Scores(accuracy=self.accuracy(), figures=self.figures, samples=self.samples, fidelity=closeness)


def _all_rows(inferred: Predictions, samples: Samples) -> Iterator[tuple[Outputs, list[Row]]]:
    """Yield the tool's outputs of whole samples with the metadata of their rows."""
    facts = storage.facts(samples.path)
    chunks = (((outputs,), list(islice(facts, _count(outputs)))) for outputs in predictions.iterate(inferred))
    for (outputs,), rows in _whole_samples(chunks):
        fidelity.check_finite(outputs, [row.id for row in rows], fidelity.COMPILED)
        yield outputs, rows


def _pairs(
    inferred: Predictions, expected: Predictions, samples: Samples, comparison: fidelity.Comparison
) -> Iterator[tuple[Outputs, Outputs, list[Row]]]:
    """Yield both sides' outputs of the whole samples that PyTorch computed, with their rows; all are compared."""

    def chunks() -> Iterator[tuple[Sides, list[Row]]]:
        facts = storage.facts(samples.path, fidelity.rows_of(inferred, expected))
        for pair in fidelity.pairs(inferred, expected):
            comparison.add(pair)
            yield (pair.outputs, pair.reference), list(islice(facts, len(pair.rows)))

    for (outputs, reference), rows in _whole_samples(chunks()):
        yield outputs, reference, rows


def _whole_samples(chunks: Iterable[tuple[Sides, list[Row]]]) -> Iterator[tuple[Sides, list[Row]]]:
    """Yield the same rows so that the rows of a sample are never in two chunks."""
    held: tuple[Sides, list[Row]] | None = None
    for sides, rows in chunks:
        if held and held[1][-1].sample_id == rows[0].sample_id:
            sides, rows = tuple(map(_joined, held[0], sides)), held[1] + rows
        elif held:
            yield held
        last = next(index for index, row in enumerate(rows) if row.sample_id == rows[-1].sample_id)
        start = last if rows[-1].sample is not None else len(rows)
        if start:
            yield tuple(_part(side, slice(start)) for side in sides), rows[:start]
        held = (tuple(_part(side, slice(start, None)) for side in sides), rows[start:]) if rows[start:] else None
    if held:
        yield held


def _part(outputs: Outputs, rows: slice) -> Outputs:
    return {name: array[rows] for name, array in outputs.items()}


def _joined(first: Outputs, second: Outputs) -> Outputs:
    return {name: np.concatenate([array, second[name]]) for name, array in first.items()}


def _count(outputs: Outputs) -> int:
    return len(next(iter(outputs.values())))

"""Accuracy against labels or PyTorch, and fidelity to PyTorch: arrays to numbers, in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner import predictions, targets
from runner.artifacts import Fidelity, Predictions, Samples, Scores
from runner.errors import ComparisonError, DataError
from runner.metrics.classification import agreement, are_class_scores
from runner.metrics.similarity import cosine
from runner.targets import Target

CHUNK = 256
"""Samples scored at a time."""


@dataclass(frozen=True)
class ScoreSpec:
    """`output` is the one that the metrics judge; `scored_against` is "labels" or "reference"."""

    output: str
    scored_against: str
    metrics: dict[str, Target]


def score(spec: ScoreSpec, inferred: Predictions, expected: Predictions, samples: Samples, out: Path) -> Scores:
    """Score what the tool inferred against labels or PyTorch's outputs, and compare every output with PyTorch's.

    Raises:
        ComparisonError: NaN or infinity anywhere, outputs of other names or shapes, samples that do not match.
        DataError: the data set has no labels, or they do not fit.
    """
    fidelity = compare(inferred, expected)
    accuracy = {name: _accuracy(spec, metric, inferred, expected, samples) for name, metric in spec.metrics.items()}
    return Scores(accuracy, inferred.count, fidelity)


def compare(inferred: Predictions, expected: Predictions) -> dict[str, Fidelity]:
    """How close each output is to another run's, on the samples that the other one has.

    Raises:
        ComparisonError: NaN or infinity anywhere, outputs of other names or shapes, samples that do not match.
    """
    return {name: _fidelity(inferred, expected, name) for name in inferred.outputs}


def _accuracy(spec: ScoreSpec, metric: Target, inferred: Predictions, expected: Predictions, samples: Samples) -> float:
    total = 0.0
    if spec.scored_against == "reference":
        for outputs, reference in _pairs(inferred, expected, spec.output):
            total += float(targets.call(metric, outputs, reference).sum())
        return total / expected.count
    if samples.labels is None:
        raise DataError(
            "the metrics of this data set need labels, and it has none",
            "give dataset.labels=FILE, or a data set whose metrics compare with PyTorch",
        )
    labels = np.array(samples.labels, dtype=np.int64)
    for index, outputs in enumerate(predictions.iterate(inferred.path, spec.output, CHUNK)):
        chunk = labels[index * CHUNK : index * CHUNK + len(outputs)]
        total += float(targets.call(metric, outputs, chunk).sum())
    return total / inferred.count


@dataclass
class _Sums:
    """What a comparison adds up over chunks."""

    samples: int = 0
    cosine: float = 0.0
    absolute: float = 0.0
    elements: int = 0
    largest: float = 0.0
    agreeing: list[float] = field(default_factory=list)


def _fidelity(inferred: Predictions, expected: Predictions, name: str) -> Fidelity:
    sums = _Sums()
    for outputs, reference in _pairs(inferred, expected, name):
        difference = np.abs(outputs.astype(np.float64) - reference.astype(np.float64))
        sums.samples += len(outputs)
        sums.cosine += float(cosine(outputs, reference).sum())
        sums.absolute += float(difference.sum())
        sums.elements += difference.size
        sums.largest = max(sums.largest, float(difference.max()))
        if are_class_scores(outputs):
            sums.agreeing.append(float(agreement(outputs, reference).sum()))
    return Fidelity(
        samples=sums.samples,
        top1_agreement=sum(sums.agreeing) / sums.samples if sums.agreeing else None,
        cosine=sums.cosine / sums.samples,
        max_abs=sums.largest,
        mean_abs=sums.absolute / sums.elements,
    )


def _pairs(inferred: Predictions, expected: Predictions, name: str) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Chunks of one output on the samples that PyTorch computed: (inferred, expected), all finite."""
    if set(inferred.outputs) != set(expected.outputs):
        raise ComparisonError(
            f"the compiled model gives {', '.join(inferred.outputs)}, PyTorch {', '.join(expected.outputs)}",
            "correct model.outputs: outputs are compared by exact name",
        )
    shapes = [predictions.row_shape(side.path, name) for side in (inferred, expected)]
    if shapes[0] != shapes[1]:
        raise ComparisonError(f"output {name!r} is {list(shapes[0])} compiled and {list(shapes[1])} in PyTorch")
    ids, expected_ids = predictions.read_ids(inferred.path), predictions.read_ids(expected.path)
    row_of = {sample: row for row, sample in enumerate(ids)}
    missing = [sample for sample in expected_ids if sample not in row_of]
    if missing:
        raise ComparisonError(f"{len(missing)} samples were not inferred, {missing[0]} the first")
    rows = np.array([row_of[sample] for sample in expected_ids])
    reference = _rows_in_turn(predictions.iterate(expected.path, name, CHUNK))
    for index, chunk in enumerate(predictions.iterate(inferred.path, name, CHUNK)):
        _check_finite(chunk, ids[index * CHUNK :], name, "the compiled model")
        inside = rows[(rows >= index * CHUNK) & (rows < index * CHUNK + len(chunk))]
        if len(inside):
            wanted = np.stack([next(reference) for _ in inside])
            _check_finite(wanted, [ids[row] for row in inside], name, "PyTorch")
            yield chunk[inside - index * CHUNK], wanted


def _rows_in_turn(chunks: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    for chunk in chunks:
        yield from chunk


def _check_finite(array: NDArray[Any], ids: list[str], name: str, side: str) -> None:
    finite = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    if not finite.all():
        first = int(np.argmin(finite))
        values = array[first].reshape(-1)
        position = int(np.argmin(np.isfinite(values)))
        raise ComparisonError(
            f"output {name!r} of {side} is {values[position]} at element {position} of sample {ids[first]}"
            f" ({np.count_nonzero(~finite)} of {len(array)} samples in its chunk are affected)",
            "look at the checkpoint and at the precision that the model was compiled with",
        )

"""Comparison of outputs with PyTorch's, or with those at another batch size, on the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.core import ComparisonError, Fidelity, Predictions
from runner.core.lazy import NDArray, np
from runner.data import predictions
from runner.tasks.similarity import agreement, are_class_scores, cosine

CHUNK = 256
"""Number of samples compared at once."""

Outputs = dict[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Pair:
    """The outputs [N, ...] by name of the same rows in two runs; `rows` are their indices in the first."""

    rows: NDArray[Any]
    outputs: Outputs
    reference: Outputs


def compare(inferred: Predictions, expected: Predictions) -> dict[str, Fidelity]:
    """Compare each output with another run's, on the samples of the other run.

    Raises:
        ComparisonError: NaN or infinity anywhere, outputs of other names or shapes, samples that do not match.
    """
    sums = {name: _Sums() for name in inferred.outputs}
    for pair in pairs(inferred, expected):
        for name, each in sums.items():
            each.add(pair.outputs[name], pair.reference[name])
    return {name: each.fidelity() for name, each in sums.items()}


def pairs(inferred: Predictions, expected: Predictions) -> Iterator[Pair]:
    """Yield chunks of the samples in both runs, checked to be finite, as are all other samples of the first.

    Raises:
        ComparisonError: NaN or infinity anywhere, outputs of other names or shapes, samples that do not match.
    """
    _check_outputs(inferred, expected)
    ids, expected_ids = predictions.read_ids(inferred.path), predictions.read_ids(expected.path)
    row_of = {sample: row for row, sample in enumerate(ids)}
    missing = [sample for sample in expected_ids if sample not in row_of]
    if missing:
        raise ComparisonError(f"{len(missing)} samples were not inferred, {missing[0]} the first")
    rows = np.array([row_of[sample] for sample in expected_ids])
    reference = _rows_in_turn(expected)
    for index, chunk in enumerate(predictions.iterate_all(inferred, CHUNK)):
        start = index * CHUNK
        end = start + len(next(iter(chunk.values())))
        _check_finite(chunk, ids[start:end], "the compiled model")
        inside = rows[(rows >= start) & (rows < end)]
        if len(inside):
            taken = [next(reference) for _ in inside]
            wanted = {name: np.stack([row[name] for row in taken]) for name in chunk}
            _check_finite(wanted, [ids[row] for row in inside], "PyTorch")
            yield Pair(inside, {name: array[inside - start] for name, array in chunk.items()}, wanted)


class _Sums:
    """Accumulates the comparison of one output over chunks."""

    def __init__(self) -> None:
        self.samples = self.elements = 0
        self.cosine = self.absolute = self.largest = 0.0
        self.agreeing: list[float] = []

    def add(self, outputs: NDArray[Any], reference: NDArray[Any]) -> None:
        difference = np.abs(outputs.astype(np.float64) - reference.astype(np.float64))
        self.samples += len(outputs)
        self.cosine += float(cosine(outputs, reference).sum())
        self.absolute += float(difference.sum())
        self.elements += difference.size
        self.largest = max(self.largest, float(difference.max()))
        if are_class_scores(outputs):
            self.agreeing.append(float(agreement(outputs, reference).sum()))

    def fidelity(self) -> Fidelity:
        return Fidelity(
            samples=self.samples,
            top1_agreement=sum(self.agreeing) / self.samples if self.agreeing else None,
            cosine=self.cosine / self.samples,
            max_abs=self.largest,
            mean_abs=self.absolute / self.elements,
        )


def _check_outputs(inferred: Predictions, expected: Predictions) -> None:
    if set(inferred.outputs) != set(expected.outputs):
        raise ComparisonError(
            f"the compiled model gives {', '.join(inferred.outputs)}, PyTorch {', '.join(expected.outputs)}",
            "correct model.outputs: outputs are compared by exact name",
        )
    for name in inferred.outputs:
        compiled, reference = (predictions.row_shape(side.path, name) for side in (inferred, expected))
        if compiled != reference:
            raise ComparisonError(f"output {name!r} is {list(compiled)} compiled and {list(reference)} in PyTorch")


def _rows_in_turn(expected: Predictions) -> Iterator[Outputs]:
    for chunk in predictions.iterate_all(expected, CHUNK):
        for row in range(len(next(iter(chunk.values())))):
            yield {name: array[row] for name, array in chunk.items()}


def _check_finite(outputs: Outputs, ids: Sequence[str], side: str) -> None:
    for name, array in outputs.items():
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

"""Comparison of outputs with PyTorch's, or with those at another batch size, on the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.core import ComparisonError, Fidelity, Predictions
from runner.core.lazy import NDArray, np
from runner.data import predictions
from runner.tasks.similarity import agreement, are_class_scores, cosine_of

BLOCK_ELEMENTS = 1 << 18
"""Number of elements compared at once, which fit into the processor's cache."""

Outputs = dict[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Pair:
    """The outputs [N, ...] by name of the same rows in two runs; `rows` are their indices in the first."""

    rows: Sequence[int]
    outputs: Outputs
    reference: Outputs


def compare(inferred: Predictions, expected: Predictions, classifies: bool = False) -> dict[str, Fidelity]:
    """Compare each output with another run's, on the samples of the other run; see Comparison for `classifies`.

    Raises:
        ComparisonError: NaN or infinity among them, outputs of other names or shapes, samples that do not match.
    """
    comparison = Comparison(inferred.outputs, classifies)
    for pair in pairs(inferred, expected):
        comparison.add(pair)
    return comparison.fidelity()


class Comparison:
    """Compares the outputs of two runs over the pairs added so far.

    Of a network that `classifies`, outputs [N, classes] are compared by their classes too.
    """

    def __init__(self, outputs: Sequence[str], classifies: bool = False) -> None:
        self._sums = {name: _Sums(classifies) for name in outputs}

    def add(self, pair: Pair) -> None:
        """Add the rows of a pair."""
        for name, each in self._sums.items():
            each.add(pair.outputs[name], pair.reference[name])

    def fidelity(self) -> dict[str, Fidelity]:
        """Return the fidelity of each output."""
        return {name: each.fidelity() for name, each in self._sums.items()}


def places_of(wanted: Sequence[str], ids: Sequence[str]) -> list[int]:
    """Return the index of each wanted id among `ids`.

    Raises:
        ComparisonError: some are missing.
    """
    place_of = {each: place for place, each in enumerate(ids)}
    missing = [each for each in wanted if each not in place_of]
    if missing:
        raise ComparisonError(
            f"{len(missing)} samples were not inferred, {missing[0]} the first",
            "run again with force=[infer,reference]",
        )
    return [place_of[each] for each in wanted]


def pairs(inferred: Predictions, expected: Predictions) -> Iterator[Pair]:
    """Yield chunks of the samples of the second run, as both computed them, checked to be finite.

    Raises:
        ComparisonError: NaN or infinity among them, outputs of other names or shapes, samples that do not match.
    """
    _check_outputs(inferred, expected)
    expected_ids = predictions.read_ids(expected.path)
    rows = places_of(expected_ids, predictions.read_ids(inferred.path))
    reference = (row for chunk in predictions.iterate(expected) for row in predictions.by_row(chunk))
    end = 0
    for chunk in predictions.iterate(inferred, rows):
        start, end = end, end + len(next(iter(chunk.values())))
        taken = [next(reference) for _ in range(start, end)]
        wanted = {name: _stacked([row[name] for row in taken], array, name) for name, array in chunk.items()}
        predictions.check_finite(chunk, expected_ids[start:end])
        predictions.check_finite(wanted, expected_ids[start:end], "PyTorch")
        yield Pair(rows[start:end], chunk, wanted)


class _Sums:
    """Accumulates the comparison of one output over chunks."""

    def __init__(self, classifies: bool) -> None:
        self.classifies = classifies
        self.samples = self.elements = 0
        self.cosine = self.absolute = self.largest = 0.0
        self.agreeing: list[float] = []
        self.equal: list[int] = []

    def add(self, outputs: NDArray[Any], reference: NDArray[Any]) -> None:
        self.samples += len(outputs)
        self.elements += outputs.size
        products = np.zeros((3, len(outputs)))
        for left, right in _blocks(outputs, reference):
            difference = np.abs(left - right)
            self.absolute += float(difference.sum())
            self.largest = max(self.largest, float(difference.max(initial=0.0)))
            products += [np.einsum("ij,ij->i", *pair) for pair in ((left, right), (left, left), (right, right))]
        self.cosine += float(cosine_of(*products).sum())
        if not np.issubdtype(outputs.dtype, np.floating):
            self.equal.append(int(np.count_nonzero(outputs == reference)))
        if self.classifies and are_class_scores(outputs):
            self.agreeing.append(float(agreement(outputs, reference).sum()))

    def fidelity(self) -> Fidelity:
        return Fidelity(
            samples=self.samples,
            top1_agreement=sum(self.agreeing) / self.samples if self.agreeing else None,
            cosine=self.cosine / self.samples,
            max_abs=self.largest,
            mean_abs=self.absolute / self.elements,
            equal=100.0 * sum(self.equal) / self.elements if self.equal else None,
        )


def _blocks(outputs: NDArray[Any], reference: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield the same parts [N, elements] of both in float64."""
    left, right = outputs.reshape(len(outputs), -1), reference.reshape(len(reference), -1)
    width = max(1, BLOCK_ELEMENTS // max(1, len(left)))
    for start in range(0, left.shape[1], width):
        part = slice(start, start + width)
        yield left[:, part].astype(np.float64), right[:, part].astype(np.float64)


def _stacked(rows: list[NDArray[Any]], outputs: NDArray[Any], name: str) -> NDArray[Any]:
    """Return PyTorch's rows of an output as one array, in the shape of the compiled model's [N, ...]."""
    for row in rows:
        if row.shape != outputs.shape[1:]:
            raise ComparisonError(
                f"output {name!r} is {list(outputs.shape[1:])} compiled and {list(row.shape)} in PyTorch",
                "look for what changes the shape with python -m runner.debug; model.outputs are in the network's order",
            )
    return np.stack(rows)


def _check_outputs(inferred: Predictions, expected: Predictions) -> None:
    if set(inferred.outputs) != set(expected.outputs):
        raise ComparisonError(
            f"the compiled model gives {', '.join(inferred.outputs)}, PyTorch {', '.join(expected.outputs)}",
            "correct model.outputs: outputs are compared by exact name",
        )

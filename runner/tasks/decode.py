"""Decoding: from a model's outputs to the results that metrics score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, Protocol, TypeAlias, runtime_checkable

from runner.config import hooks, targets
from runner.config.callables import Target
from runner.core import ConfigError, DataError, Predictions, Samples
from runner.core.lazy import NDArray, np
from runner.data import Row, predictions, storage, whole_samples

Results: TypeAlias = "Sequence[Any] | NDArray[Any]"
"""One result per row."""


class Decode(Protocol):
    """Converts outputs to results: a function, or a frozen dataclass with the arguments beside `_target_` as fields."""

    def __call__(self, outputs: Mapping[str, NDArray[Any]], rows: Sequence[Row]) -> Results:
        """Return one result per sample; `outputs` are [N, ...] by name, in the model's declared order, and finite."""


@runtime_checkable
class StoringDecode(Decode, Protocol):
    """A decoder whose results are stored instead of the outputs, which are far larger.

    A detector's heads have a thousand times the bytes of its boxes, and a segmentation's logits dozens of times those
    of its maps. `packs` are the names of the arrays that a result is stored as.
    """

    @property
    def packs(self) -> Sequence[str]: ...

    def pack(self, result: Any) -> dict[str, NDArray[Any]]:
        """Return a result as arrays by name, each with the same type and number of axes for every result."""

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Any:
        """Return the result that was packed."""


def stores_results(target: Target | None) -> bool:
    """Return whether results of the decoder are stored instead of outputs.

    Raises:
        ConfigError: there is no such decoder.
    """
    return target is not None and hasattr(targets.locate(target), "unpack")


def first_output(outputs: Mapping[str, NDArray[Any]], rows: Sequence[Row]) -> NDArray[Any]:
    """Return the model's first output unchanged: class scores, images, action values."""
    return next(iter(outputs.values()))


def results_of(decode: Decode, outputs: Mapping[str, NDArray[Any]], rows: Sequence[Row]) -> Results:
    """Return what a decoder makes of the outputs [N, ...] of some rows: one result per sample.

    Raises:
        HookError: it returns anything else, or NaN where its results are one array.
    """
    results = decode(outputs, rows)
    count = sum(1 for _ in whole_samples.spans(rows))
    wanted = f"one result per sample, {count} for these rows"
    if not isinstance(results, (Sequence, np.ndarray)) or isinstance(results, (str, bytes)):
        raise hooks.wrong_result(decode, f"a {type(results).__name__}", wanted)
    if len(results) != count:
        raise DataError(
            f"model.decode returned {len(results)} results for {len(rows)} rows of {count} samples",
            "return one result per sample: consecutive rows with one `sample` belong together (tiles, crops)",
        )
    if isinstance(results, np.ndarray) and results.dtype.kind in "fc" and np.isnan(results).any():
        raise hooks.wrong_result(decode, "NaN", wanted)
    return results


METADATA = "metadata:"
"""Begins an argument that stands for what an ONNX file from outside says of itself, as in metadata:character."""


def decode_of(target: Target | None, metadata: Mapping[str, str] | None = None) -> Decode:
    """Return the decode function of a target; the first output unchanged for None.

    Arguments `metadata:KEY` are replaced by the lines of the ONNX file's `metadata`, if it is given.

    Raises:
        ConfigError: it cannot be found, does not take its arguments, or there is no such metadata.
    """
    if target is None:
        return first_output
    if metadata is not None:
        arguments = {name: _from_metadata(value, metadata) for name, value in target.arguments.items()}
        target = Target(target.name, arguments, target.place)
    bound: Decode = targets.bind(target, positional=2)
    return bound


def reads_metadata(target: Target | None) -> bool:
    """Return whether arguments of a decoder stand for an ONNX file's metadata."""
    return target is not None and any(
        isinstance(value, str) and value.startswith(METADATA) for value in target.arguments.values()
    )


def _from_metadata(value: Any, metadata: Mapping[str, str]) -> Any:
    if not isinstance(value, str) or not value.startswith(METADATA):
        return value
    key = value.removeprefix(METADATA)
    if key not in metadata:
        raise ConfigError(
            f"model.decode asks for {value}, and the ONNX file has no such metadata",
            f"it has {', '.join(metadata) or 'none'}",
        )
    return metadata[key].splitlines()


def decoded(inferred: Predictions, samples: Samples, decode: Decode) -> Iterator[tuple[Results, list[Row]]]:
    """Yield the results of all samples, as they are stored or decoded here, with their rows or the first of each.

    Raises:
        ComparisonError: an output is NaN or infinite. DataError: the decoder rejects the outputs.
    """
    facts = storage.facts(samples.path)
    if inferred.results is None:
        for outputs, rows in whole_samples.with_rows(predictions.iterate(inferred), facts):
            predictions.check_finite(outputs, [row.id for row in rows])
            yield results_of(decode, outputs, rows), rows
        return
    assert isinstance(decode, StoringDecode)
    firsts = (next(together) for _, together in groupby(facts, key=lambda row: row.sample_id))
    for arrays in predictions.iterate(inferred.results):
        results = [decode.unpack(each) for each in predictions.by_row(arrays)]
        yield results, list(islice(firsts, len(results)))

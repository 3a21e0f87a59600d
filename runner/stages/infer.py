"""Stage `infer`: run the compiled model on all samples, and decode its outputs where only results are kept."""

from __future__ import annotations

import math
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from runner.config import hooks, targets
from runner.config.callables import Target
from runner.core import ComparisonError, CompiledModel, Placement, Predictions, Samples, TensorSpec, track
from runner.core.lazy import NDArray, np
from runner.data import Batch, Normalisation, Row, batches, predictions, rows, whole_samples
from runner.data.selection import chosen_rows
from runner.tasks import StoringDecode, decode_of, results_of
from runner.tools import Tool, using_devices


@dataclass(frozen=True, kw_only=True)
class ResultsSpec:
    """Store the results of `decode` for every sample, and the outputs of those alone that PyTorch computes too.

    Those are `samples` of them, `batch` as for the reference (see runner.stages.reference.ReferenceSpec).
    """

    decode: Target
    samples: int
    batch: int | None = None


@dataclass(frozen=True, kw_only=True)
class InferSpec:
    """`normalisation` is None if the card normalises (AIPP), `results` if the outputs of every sample are stored."""

    tool: Target
    tool_version: str
    placement: Placement
    batch: int
    normalisation: Normalisation | None
    results: ResultsSpec | None = None


def infer(spec: InferSpec, model: CompiledModel, samples: Samples, out: Path) -> Predictions:
    """Write the outputs, in the order of the samples, to `out`/predictions.npz, and results to `out`/results.npz.

    Raises:
        ToolError: the tool fails. ComparisonError: its outputs differ from the model's declaration, or are not finite.
        DataError: the decoder rejects them.
    """
    tool: Tool = targets.call(spec.tool)
    model = model.of_batch(spec.batch)
    work = out / "work"
    work.mkdir()
    with (
        using_devices(tool, spec.placement, "infer", is_shared=True),
        track("infer", samples.count, "samples") as advance,
    ):

        def fed() -> Iterator[Batch]:
            for batch in batches.one_ahead(batches.iterate(samples, spec.normalisation, spec.batch)):
                yield batch
                advance(len(batch.ids))

        outputs = _outputs(tool, spec.placement, model, fed(), work)
        if spec.results is None:
            made = predictions.write(
                out / "predictions.npz", _names(model), rows.ids(samples.path), outputs, _largest(model)
            )
        else:
            made = _write_results(spec.results, model, samples, outputs, out)
    shutil.rmtree(work)
    return made


def _names(model: CompiledModel) -> list[str]:
    return [tensor.name for tensor in model.outputs]


def _largest(model: CompiledModel) -> TensorSpec | None:
    """Return the largest output whose shape is known."""
    fixed = [tensor for tensor in model.outputs if not tensor.is_free]
    return max(fixed, key=lambda tensor: math.prod(tensor.shape), default=None)


def _write_results(
    spec: ResultsSpec, model: CompiledModel, samples: Samples, outputs: Iterable[whole_samples.Outputs], out: Path
) -> Predictions:
    """Write the results of all samples, and the outputs of the chosen ones."""
    decode = decode_of(spec.decode)
    assert isinstance(decode, StoringDecode)
    listed = list(rows.read(samples.path))
    chosen = chosen_rows(samples, spec.samples, spec.batch)
    outputs_file = out / "predictions.npz", _names(model), [listed[index].id for index in chosen]
    results_file = out / "results.npz", decode.packs, list(dict.fromkeys(row.sample_id for row in listed))
    is_chosen = map(frozenset(chosen).__contains__, range(len(listed)))
    with (
        predictions.writing(*outputs_file, _largest(model)) as write_outputs,
        predictions.writing(*results_file) as write_result,
    ):

        def take(made: tuple[whole_samples.Outputs, list[Row]]) -> None:
            chunk, its_rows = made
            predictions.check_finite(chunk, [row.id for row in its_rows])
            here = list(islice(is_chosen, len(its_rows)))
            if any(here):
                write_outputs({name: array[here] for name, array in chunk.items()})
            for result in results_of(decode, chunk, its_rows):
                write_result({name: array[None] for name, array in decode.pack(result).items()})

        # decoded while the tool works on the next batch
        batches.one_behind(whole_samples.with_rows(outputs, iter(listed)), take)
    return replace(predictions.written(*outputs_file), results=predictions.written(*results_file))


def _outputs(
    tool: Tool, placement: Placement, model: CompiledModel, fed: Iterable[Batch], work: Path
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield each batch's outputs by name, without padding; the tool is called for each run of batches of one shape."""
    lengths: deque[int] = deque()

    def counted(run: Iterable[Batch]) -> Iterator[Batch]:
        for batch in run:
            lengths.append(len(batch.ids))
            yield batch

    is_free = any(tensor.is_free for tensor in model.inputs)
    for number, (shapes, run) in enumerate(groupby(fed, key=_shapes)):
        folder = work / str(number)
        folder.mkdir()
        for outputs in tool.infer(model.at(shapes) if is_free else model, placement, counted(run), folder):
            if not lengths:
                raise ComparisonError("more batches came out than went in", "look for a failure in the tool's log")
            length = lengths.popleft()
            yield {name: array[:length] for name, array in _checked(outputs, tool).items()}


def _checked(outputs: Any, tool: Tool) -> Mapping[str, NDArray[Any]]:
    """Return the outputs of a batch as the tool yields them, if they are arrays [batch, ...] by name."""
    arrays: dict[str, Any] = hooks.checked(outputs, dict, tool.infer)
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.ndim == 0:
            raise hooks.wrong_result(tool.infer, f"{name!r}: a {type(array).__name__}", "arrays [batch, ...] by name")
    return arrays


def _shapes(batch: Batch) -> list[tuple[int, ...]]:
    return [array.shape[1:] for array in batch.inputs.values()]

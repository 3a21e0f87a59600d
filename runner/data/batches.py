"""Iteration over prepared samples in batches of network inputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from io import FileIO
from itertools import groupby, islice
from typing import Any, TypeVar

from runner.core import DataError, Samples, TensorSpec
from runner.core.lazy import NDArray, np
from runner.data import rows
from runner.data.preprocess import Normalisation, normalise
from runner.data.storage import StoredArray, open_array, read_into

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Batch:
    """`ids` of the real samples in order; `inputs` [batch, *shape] by name, padded at the end."""

    ids: tuple[str, ...]
    inputs: dict[str, NDArray[Any]]


def iterate(
    samples: Samples,
    normalisation: Normalisation | None,
    batch: int,
    indices: Sequence[int] | None = None,
    padded: bool = True,
) -> Iterator[Batch]:
    """Yield all samples, or those at `indices`, in batches of `batch`.

    A batch with fewer samples is `padded` with its first one, as in ais_bench. A batch never mixes shapes. Floating
    point inputs that are stored as uint8 (images) or named in `samples.unnormalised` are normalised; all others are
    stored in the network's type. Without a normalisation all inputs must be images, which are returned unchanged with
    channels last: [batch, H, W, C], as for AIPP. Memory holds one batch: files are read at offsets, since memory-mapped
    pages would count as the process's own memory.

    Raises:
        DataError: the samples on disk are damaged, or do not fit the normalisation.
    """
    chosen = range(samples.count) if indices is None else indices
    names = (row.id for row in rows.read(samples.path, chosen))
    arrays = _arrays(samples)
    with ExitStack() as stack:
        opened = [stack.enter_context(array.path.open("rb", buffering=0)) for array in arrays]
        files = list(zip(samples.spec, arrays, opened, strict=True))
        for batch_indices in _of_one_shape(arrays, chosen, batch):
            size = batch if padded else len(batch_indices)
            inputs = {
                tensor.name: _as_taken(_read(file, array, batch_indices, size), tensor, normalisation, samples)
                for tensor, array, file in files
            }
            yield Batch(tuple(islice(names, len(batch_indices))), inputs)


def indices(samples: Samples, batch: int) -> list[list[int]]:
    """Return the indices of the samples in each batch of `batch`, as `iterate` makes them.

    Raises:
        DataError: the samples on disk are damaged.
    """
    return [list(each) for each in _of_one_shape(_arrays(samples), range(samples.count), batch)]


def shapes_of(samples: Samples) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Yield the inputs' shapes of every row, in order.

    Raises:
        DataError: the samples on disk are damaged.
    """
    arrays = _arrays(samples)
    for index in range(samples.count):
        yield tuple(array.shape_of(index) for array in arrays)


def _arrays(samples: Samples) -> list[StoredArray]:
    """Return the layout of each input's samples."""
    arrays = [open_array(samples.path, tensor.name) for tensor in samples.spec]
    for array in arrays:
        if array.count != samples.count:
            raise DataError(
                f"the prepared samples {array.path} are {array.count}, not {samples.count}",
                "run again with force=[prepare]",
            )
    return arrays


def _of_one_shape(arrays: Sequence[StoredArray], chosen: Sequence[int], batch: int) -> Iterator[Sequence[int]]:
    """Yield the indices of each batch: consecutive samples of one shape."""
    if all(array.shapes is None for array in arrays):
        yield from (chosen[start : start + batch] for start in range(0, len(chosen), batch))
        return
    for _, run in groupby(chosen, key=lambda index: [array.shape_of(index) for array in arrays]):
        while together := list(islice(run, batch)):
            yield together


def one_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the same batches, preparing the next one in a thread. Memory holds two."""
    with ThreadPoolExecutor(1, "batches") as thread:
        pending = thread.submit(next, batches, None)
        while (batch := pending.result()) is not None:
            pending = thread.submit(next, batches, None)
            yield batch


def at_once(items: Iterable[T], use: Callable[[T], U], most: int) -> Iterator[U]:
    """Yield what `use` gives for each item, in order, where up to `most` threads use one item each."""
    pending: deque[Future[U]] = deque()
    with ThreadPoolExecutor(most, "use") as threads:
        for item in items:
            pending.append(threads.submit(use, item))
            if len(pending) == most:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def one_behind(items: Iterable[T], use: Callable[[T], None]) -> None:
    """Call `use` with each item in order, in a thread, while the next item is made here. Memory holds two."""
    pending: Future[None] | None = None
    with ThreadPoolExecutor(1, "use") as thread:
        for item in items:
            if pending is not None:
                pending.result()
            pending = thread.submit(use, item)
    if pending is not None:
        pending.result()


def _as_taken(
    stored: NDArray[Any], tensor: TensorSpec, normalisation: Normalisation | None, samples: Samples
) -> NDArray[Any]:
    if normalisation is None:
        return np.ascontiguousarray(np.moveaxis(_picture(stored, tensor), 1, -1))
    if str(stored.dtype) == tensor.dtype and tensor.name not in samples.unnormalised:
        return stored
    channels = tensor.shape[0] if tensor.shape else 1
    if {len(normalisation.mean), len(normalisation.std)} - {1, channels}:
        raise DataError(
            f"input {tensor.name!r} is stored as bytes to be normalised and has {channels} channels, model.preprocess "
            f"has {len(normalisation.mean)} means and {len(normalisation.std)} standard deviations",
            f"let the reader store it as {tensor.dtype}, which is taken as it is, or correct model.preprocess",
        )
    return normalise(stored, normalisation).astype(tensor.dtype, copy=False)


def _picture(stored: NDArray[Any], tensor: TensorSpec) -> NDArray[Any]:
    if stored.dtype != np.uint8:
        raise DataError(
            f"model.aipp=true lets the card normalise pictures in bytes, and the data set gives {tensor.name!r} as "
            f"{stored.dtype}",
            "set model.aipp=false, or choose a dataset= of pictures",
        )
    return stored


def _read(file: FileIO, array: StoredArray, indices: Sequence[int], batch: int) -> NDArray[Any]:
    """Read the samples at `indices` [batch, *shape]; the rest of the batch is copies of the first."""
    values = np.empty((batch, *array.shape_of(indices[0])), array.dtype)
    for row, index in enumerate(indices):
        read_into(file, array, index, values[row : row + 1])
    values[len(indices) :] = values[0]
    return values

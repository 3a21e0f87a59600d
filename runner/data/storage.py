"""Samples on disk: one `<folder>/<input name>.npy` [count, *shape] per input, written and read at offsets.

Where the samples' shapes differ, the file is one flat array of all values in order, and `<input name>.shapes.npy` holds
each sample's shape [count, axes]. Ground truth that is an array (label maps, pictures) is stored in the same way, one
per sample, in `<folder>/truth/`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Any

from runner.core import FREE, DataError, Samples, StoreError, TensorSpec, os_errors, sha256_of
from runner.core.lazy import NDArray, np
from runner.data import rows
from runner.data.rows import Row

CHUNK_BYTES = 4 << 20
"""Approximate size of a chunk that is written at once."""
TRUTH = "truth"
"""The folder of ground truth that is stored as arrays, and their name in it."""


@dataclass(frozen=True, kw_only=True)
class StoredArray:
    """An .npy file: `count` samples of `dtype`, from byte `offset` on.

    `shape` is that of every sample, with FREE axes where they differ; then `shapes` [count, axes] holds each one's.
    """

    path: Path
    offset: int
    dtype: np.dtype[Any]
    count: int
    shape: tuple[int, ...]
    shapes: NDArray[np.int64] | None = field(default=None, compare=False)

    def shape_of(self, index: int) -> tuple[int, ...]:
        """Return the shape of a sample."""
        return self.shape if self.shapes is None else tuple(map(int, self.shapes[index]))

    def bytes_of(self, index: int) -> int:
        """Return the size of a sample."""
        return self.dtype.itemsize * math.prod(self.shape_of(index))

    def position(self, index: int) -> int:
        """Return the byte offset of a sample; for `count`, that of the end."""
        before = index * math.prod(self.shape) if self.shapes is None else int(self._elements_before[index])
        return self.offset + self.dtype.itemsize * before

    @cached_property
    def _elements_before(self) -> NDArray[np.int64]:
        sizes = self.shapes.prod(axis=1) if self.shapes is not None else ()
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])

    @property
    def size_bytes(self) -> int:
        return self.position(self.count)


def array_path(folder: Path, input_name: str) -> Path:
    """Return the file of an input's samples; slashes in the name are replaced."""
    return folder / f"{input_name.replace('/', '_')}.npy"


def files_of(input_name: str) -> set[str]:
    """Return the names of the files in which an input's samples may be stored; equal where a disk ignores case."""
    path = array_path(Path(), input_name)
    return {path.name.casefold(), shapes_path(path).name.casefold()}


def shapes_path(path: Path) -> Path:
    """Return the file of the samples' shapes, beside the file of their values."""
    return path.with_suffix(".shapes.npy")


def create_array(
    folder: Path, tensor: TensorSpec, count: int, shapes: Sequence[tuple[int, ...]] | None = None
) -> StoredArray:
    """Create a sparse file of zeros for `count` samples of `tensor`, whose free axes `shapes` tells for each.

    Raises:
        StoreError: it cannot be written.
    """
    path = array_path(folder, tensor.name)
    each = None if shapes is None else np.array(shapes, np.int64).reshape(count, len(tensor.shape))
    if each is not None and count and (each == each[0]).all():
        tensor, each = tensor.at(each[0].tolist()), None
    total = (count, *tensor.shape) if each is None else (int(each.prod(axis=1).sum()),)
    dtype = np.dtype(tensor.dtype)
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": total}
    try:
        shapes_path(path).unlink(missing_ok=True)
        if each is not None:
            np.save(shapes_path(path), each)
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            array = StoredArray(
                path=path, offset=file.tell(), dtype=dtype, count=count, shape=tensor.shape, shapes=each
            )
            file.truncate(array.size_bytes)
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, error, dtype.itemsize * math.prod(total)) from error
    return array


def open_array(folder: Path, input_name: str) -> StoredArray:
    """Read the layout of an input's samples.

    Raises:
        DataError: the file is missing, is not an .npy, or does not have the size that its header says.
    """
    path = array_path(folder, input_name)
    fix = "run again with force=[prepare]"
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            array = _layout(path, file.tell(), shape, dtype)
            size_bytes = file.seek(0, os.SEEK_END)
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"the prepared samples {path} cannot be read: {error}", fix) from error
    if size_bytes != array.size_bytes:
        raise DataError(f"the prepared samples {path} have {size_bytes} bytes, not {array.size_bytes}", fix)
    return array


def _layout(path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> StoredArray:
    if not shapes_path(path).exists():
        return StoredArray(path=path, offset=offset, dtype=dtype, count=shape[0], shape=shape[1:])
    shapes = np.load(shapes_path(path), allow_pickle=False)
    same = (shapes == shapes[0]).all(axis=0)
    common = tuple(int(size) if equal else FREE for size, equal in zip(shapes[0], same, strict=True))
    return StoredArray(path=path, offset=offset, dtype=dtype, count=len(shapes), shape=common, shapes=shapes)


def write_at(descriptor: int, values: NDArray[Any], position: int) -> None:
    """Write all bytes of a contiguous array into an open file."""
    rest = values.data.cast("B") if values.size else b""  # an empty array cannot be cast
    while rest:
        written = os.pwrite(descriptor, rest, position)
        rest, position = rest[written:], position + written


def fill(array: StoredArray, samples: Callable[[int, int], NDArray[Any]], advance: Callable[[int], None]) -> None:
    """Write an array in chunks, each made by `samples(start, end)`; `advance` is called with its length.

    Raises:
        StoreError: it cannot be written.
    """
    rows = max(1, CHUNK_BYTES // max(1, array.bytes_of(0) if array.count else 1))
    try:
        with array.path.open("r+b", buffering=0) as file:
            for start in range(0, array.count, rows):
                chunk = np.ascontiguousarray(samples(start, min(start + rows, array.count)))
                write_at(file.fileno(), chunk, array.position(start))
                advance(len(chunk))
    except OSError as error:
        raise unwritable(array.path, error) from error


def unwritable(path: Path, error: OSError, needed_bytes: int | None = None) -> StoreError:
    """Return the error for a file that cannot be written."""
    known = os_errors.as_store_error(error, path, needed_bytes=needed_bytes)
    return StoreError(f"cannot write {known.message}", f"{known.fix}, then run again")


def finish(
    out: Path,
    tensors: Sequence[TensorSpec],
    samples: Sequence[Row | str],
    truths: Sequence[Any] | None = None,
    *,
    unnormalised: Sequence[str] = (),
    substitute: str | None = None,
    note: str | None = None,
) -> Samples:
    """Write the rows' metadata beside the arrays in `out`; return the Samples.

    Args:
        tensors: The inputs as the network takes them.
        samples: The metadata of each row, or, of rows without any, their ids.
        truths: The ground truth of each row that is given by its id, in JSON types.
        unnormalised: The inputs that are stored in the network's type and are still to be normalised.
        substitute: Why this is not the data set that the published figures were measured on.

    Raises:
        DataError: an array has neither the network's type nor, for a floating point input, uint8.
    """
    known = [None] * len(samples) if truths is None else truths
    each = [
        row if isinstance(row, Row) else Row(id=row, truth=truth) for row, truth in zip(samples, known, strict=True)
    ]
    stored = [open_array(out, tensor.name) for tensor in tensors]
    for array, tensor in zip(stored, tensors, strict=True):
        _check_stored(array, tensor)
    if has_truth_arrays(out):
        stored.append(open_array(out / TRUTH, TRUTH))
    files = [path for array in stored for path in (array.path, shapes_path(array.path)) if path.exists()]
    files.append(rows.write(out, each))
    text = json.dumps([[path.name, sha256_of(path)] for path in files])
    return Samples(
        path=out,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        count=len(each),
        spec=tuple(tensors),
        has_truth=has_truth_arrays(out) or any(row.truth is not None for row in each),
        unnormalised=tuple(unnormalised),
        substitute=substitute,
        note=note,
    )


def has_truth_arrays(folder: Path) -> bool:
    """Return whether the samples' ground truth is stored as arrays."""
    return array_path(folder / TRUTH, TRUTH).exists()


def facts(folder: Path, indices: Sequence[int] | None = None) -> Iterator[Row]:
    """Yield the metadata of all rows, or of those at `indices`, ascending, with ground truth that is stored as arrays.

    Only the arrays [*shape] of the rows yielded are read; one is in memory.

    Raises:
        DataError: a file is missing or damaged.
    """
    if not has_truth_arrays(folder):
        yield from rows.read(folder, indices)
        return
    array = open_array(folder / TRUTH, TRUTH)
    wanted = None if indices is None else set(indices)
    sample, number = None, -1
    with array.path.open("rb", buffering=0) as file:
        for index, row in enumerate(rows.read(folder)):
            is_first = row.sample_id != sample
            sample, number = row.sample_id, number + is_first
            if wanted is None or index in wanted:
                yield replace(row, truth=read_at(file, array, number)) if is_first else row


def read_at(file: FileIO, array: StoredArray, index: int) -> NDArray[Any]:
    """Read a sample [*shape] from an array's open file.

    Raises:
        DataError: the file ends early.
    """
    values = np.empty((1, *array.shape_of(index)), array.dtype)  # a lone scalar would have no buffer to read into
    read_into(file, array, index, values)
    row: NDArray[Any] = values[0]
    return row


def read_into(file: FileIO, array: StoredArray, index: int, values: NDArray[Any]) -> None:
    """Read a sample into a contiguous array [1, *shape].

    Raises:
        DataError: the file ends early.
    """
    file.seek(array.position(index))
    if values.size and file.readinto(values.data.cast("B")) != array.bytes_of(index):
        raise DataError(f"the prepared samples {array.path} end early", "run again with force=[prepare]")


def storable_types(tensor: TensorSpec) -> list[str]:
    """Return the types in which an input may be stored: its own and, if it is floating point, uint8."""
    return [tensor.dtype, "uint8"] if tensor.is_floating else [tensor.dtype]


def _check_stored(array: StoredArray, tensor: TensorSpec) -> None:
    allowed = storable_types(tensor)
    if str(array.dtype) not in allowed:
        raise DataError(
            f"the reader stored {tensor.name} as {array.dtype}, the network takes {tensor.dtype}",
            f"let it write {' or '.join(allowed)}",
        )


def numbered(prefix: str, count: int, digits: int, available: int) -> tuple[str, ...]:
    """Return `count` numbered names, zero-padded to `digits` or to the digits that `available` names need."""
    width = max(digits, len(str(available - 1)))
    return tuple(f"{prefix}{index:0{width}d}" for index in range(count))


def wanted_count(limit: int | None, available: int) -> int:
    """Return how many of the available samples to prepare."""
    return available if limit is None else min(limit, available)


def limit_note(limit: int | None, available: int, things: str) -> str | None:
    """Return a note if `limit` exceeds the available samples, else None."""
    if limit is None or limit <= available:
        return None
    return f"limit is {limit}, there are only {available} {things}: all of them are used"


def stored_bytes(tensors: Sequence[TensorSpec], count: int) -> int:
    """Return the size of `count` samples on disk, without headers."""
    return count * sum(tensor.sample_bytes for tensor in tensors)

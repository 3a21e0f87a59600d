"""Samples on disk: one `<folder>/<input name>.npy` [count, *shape] per input, written and read at offsets."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import DataError, Samples, StoreError, TensorSpec, os_errors, sha256_of
from runner.core.lazy import NDArray, np
from runner.data import rows
from runner.data.rows import Row

CHUNK_BYTES = 4 << 20
"""Approximate size of a chunk that is written at once."""


@dataclass(frozen=True, kw_only=True)
class StoredArray:
    """An .npy file: samples of `dtype` and `shape`, `count` of them, from byte `offset` on."""

    path: Path
    offset: int
    dtype: np.dtype[Any]
    count: int
    shape: tuple[int, ...]

    @property
    def sample_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)

    def position(self, index: int) -> int:
        """Return the byte offset of a sample."""
        return self.offset + index * self.sample_bytes

    @property
    def size_bytes(self) -> int:
        return self.position(self.count)


def array_path(folder: Path, input_name: str) -> Path:
    """Return the file of an input's samples; slashes in the name are replaced."""
    return folder / f"{input_name.replace('/', '_')}.npy"


def create_array(folder: Path, tensor: TensorSpec, count: int) -> StoredArray:
    """Create a sparse file of zeros for `count` samples of `tensor`.

    Raises:
        StoreError: it cannot be written.
    """
    path = array_path(folder, tensor.name)
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(tensor.dtype)),
        "fortran_order": False,
        "shape": (count, *tensor.shape),
    }
    try:
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            array = StoredArray(
                path=path, offset=file.tell(), dtype=np.dtype(tensor.dtype), count=count, shape=tensor.shape
            )
            file.truncate(array.size_bytes)
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, error, stored_bytes((tensor,), count)) from error
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
            array = StoredArray(path=path, offset=file.tell(), dtype=dtype, count=shape[0], shape=shape[1:])
            size_bytes = file.seek(0, os.SEEK_END)
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"the prepared samples {path} cannot be read: {error}", fix) from error
    if size_bytes != array.size_bytes:
        raise DataError(f"the prepared samples {path} have {size_bytes} bytes, not {array.size_bytes}", fix)
    return array


def write_at(descriptor: int, values: NDArray[Any], position: int) -> None:
    """Write all bytes of a contiguous array into an open file."""
    rest = values.data.cast("B")
    while rest:
        written = os.pwrite(descriptor, rest, position)
        rest, position = rest[written:], position + written


def fill(array: StoredArray, samples: Callable[[int, int], NDArray[Any]], advance: Callable[[int], None]) -> None:
    """Write an array in chunks, each made by `samples(start, end)`; `advance` is called with its length.

    Raises:
        StoreError: it cannot be written.
    """
    rows = max(1, CHUNK_BYTES // max(1, array.sample_bytes))
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
    ids: Sequence[str],
    truths: Sequence[Any] | None = None,
    substitute: str | None = None,
    note: str | None = None,
) -> Samples:
    """Write the rows' metadata beside the arrays in `out`; return the Samples.

    Args:
        tensors: The inputs as the network takes them.
        ids: The id of each row.
        truths: The ground truth of each row in JSON types.
        substitute: Why this is not the data set that the published figures were measured on.

    Raises:
        DataError: an array has neither the network's type nor, for a floating point input, uint8.
    """
    for tensor in tensors:
        _check_stored(open_array(out, tensor.name), tensor)
    known = [None] * len(ids) if truths is None else truths
    files = [array_path(out, tensor.name) for tensor in tensors]
    files.append(rows.write(out, (Row(id=name, truth=truth) for name, truth in zip(ids, known, strict=True))))
    text = json.dumps([[path.name, sha256_of(path)] for path in files])
    return Samples(
        path=out,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        count=len(ids),
        spec=tuple(tensors),
        has_truth=truths is not None,
        substitute=substitute,
        note=note,
    )


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

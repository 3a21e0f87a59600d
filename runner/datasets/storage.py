"""Samples on disk: `<folder>/<input name>.npy` [count, *shape] each, written and read at offsets, never whole."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner import refusals
from runner.artifacts import Samples, TensorSpec
from runner.errors import DataError, Fault, StoreError
from runner.hashing import sha256_of

CHUNK_BYTES = 4 << 20
"""Written at a time, about, where samples come in any number."""


@dataclass(frozen=True)
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
        """The byte at which a sample begins."""
        return self.offset + index * self.sample_bytes

    @property
    def size_bytes(self) -> int:
        return self.position(self.count)


def array_path(folder: Path, input_name: str) -> Path:
    """Where an input's samples lie; a slash in its name is no folder."""
    return folder / f"{input_name.replace('/', '_')}.npy"


def create_array(folder: Path, tensor: TensorSpec, count: int) -> StoredArray:
    """A file of zeros that takes `count` samples of `tensor`, on disk as they are written.

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
            array = StoredArray(path, file.tell(), np.dtype(tensor.dtype), count, tensor.shape)
            file.truncate(array.size_bytes)
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, error, stored_bytes((tensor,), count)) from error
    return array


def open_array(folder: Path, input_name: str) -> StoredArray:
    """The layout of an input's samples.

    Raises:
        DataError: the file is missing, is no .npy, or is not as long as its header says.
    """
    path = array_path(folder, input_name)
    fix = "run again with force=[prepare]"
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            array = StoredArray(path, file.tell(), dtype, shape[0], shape[1:])
            size_bytes = file.seek(0, os.SEEK_END)
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"the prepared samples {path} cannot be read: {error}", fix) from error
    if size_bytes != array.size_bytes:
        raise DataError(f"the prepared samples {path} have {size_bytes} bytes, not {array.size_bytes}", fix)
    return array


def write_at(descriptor: int, values: NDArray[Any], position: int) -> None:
    """Write a contiguous array's bytes into an open file, all of them."""
    rest = values.data.cast("B")
    while rest:
        written = os.pwrite(descriptor, rest, position)
        rest, position = rest[written:], position + written


def fill(array: StoredArray, samples: Callable[[int, int], NDArray[Any]], advance: Callable[[int], None]) -> None:
    """Write all of an array in order, a chunk at a time: `samples(start, end)` makes one, `advance` is told its length.

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
    """The error of a file that cannot be written."""
    told = refusals.refusal(error, path, needed_bytes=needed_bytes)
    return StoreError(f"cannot write {told.message}", f"{told.fix}, then run again")


def finish(
    out: Path,
    tensors: Sequence[TensorSpec],
    ids: Sequence[str],
    labels: Sequence[int] | None = None,
    stand_in: str | None = None,
    note: str | None = None,
) -> Samples:
    """The Samples written into `out`; `tensors` as the network takes them. The digest covers arrays, ids and labels.

    Raises:
        DataError: an array is stored in a type that is neither the network's nor bytes for its floating point numbers.
    """
    for tensor in tensors:
        _check_stored(open_array(out, tensor.name), tensor)
    digests = [[tensor.name, sha256_of(array_path(out, tensor.name))] for tensor in tensors]
    text = json.dumps([digests, list(ids), None if labels is None else list(labels)])
    return Samples(
        path=out,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        count=len(ids),
        spec=tuple(tensors),
        ids=tuple(ids),
        labels=None if labels is None else tuple(labels),
        stand_in=stand_in,
        note=note,
    )


def storable_types(tensor: TensorSpec) -> list[str]:
    """In which types samples for an input may be stored: its own, and bytes, to be normalised, for a floating one."""
    return [tensor.dtype, "uint8"] if tensor.is_floating else [tensor.dtype]


def _check_stored(array: StoredArray, tensor: TensorSpec) -> None:
    allowed = storable_types(tensor)
    if str(array.dtype) not in allowed:
        raise DataError(
            f"the reader stored {tensor.name} as {array.dtype}, the network takes {tensor.dtype}",
            f"let it write {' or '.join(allowed)}",
        )


def numbered(prefix: str, count: int, digits: int, available: int) -> tuple[str, ...]:
    """`count` names, padded with zeros to `digits` or to what `available` names take."""
    width = max(digits, len(str(available - 1)))
    return tuple(f"{prefix}{index:0{width}d}" for index in range(count))


def wanted_count(limit: int | None, available: int) -> int:
    """How many of the available samples a request is for."""
    return available if limit is None else min(limit, available)


def limit_note(limit: int | None, available: int, things: str) -> str | None:
    """What to say when more was asked for than there is."""
    if limit is None or limit <= available:
        return None
    return f"limit is {limit}, there are only {available} {things}: all of them are used"


def positive_faults(reader: Any, *names: str) -> list[Fault]:
    """A fault for each of the reader's fields that is no number of at least 1."""
    return [
        Fault(f"dataset.reader.{name} is {value!r}", f"give dataset.reader.{name} a whole number of at least 1")
        for name in names
        if not isinstance(value := getattr(reader, name), int) or value < 1
    ]


def stored_bytes(tensors: Sequence[TensorSpec], count: int) -> int:
    """What `count` samples take on the disk, headers aside."""
    return count * sum(np.dtype(tensor.dtype).itemsize * math.prod(tensor.shape) for tensor in tensors)

"""Outputs of a model on disk: one .npz with an array per output name in sample order, and `ids`.

Written and read in chunks, so that memory use does not depend on the number of samples.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from runner.core import ComparisonError, Predictions, sha256_of
from runner.core.lazy import NDArray, np

IDS = "ids"
CHUNK_BYTES = 8 << 20


@dataclass(frozen=True)
class _Layout:
    """Type and shape of one sample's output."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def write(
    path: Path, names: Sequence[str], ids: Sequence[str], batches: Iterable[Mapping[str, NDArray[Any]]]
) -> Predictions:
    """Write the outputs [batch, ...] of consecutive batches, truncated to `len(ids)` rows in total.

    Raises:
        ComparisonError: a batch has other outputs, an output changes its shape or type, or rows are missing.
    """
    spools = {name: path.with_name(f".{path.name}.{index}.spool") for index, name in enumerate(names)}
    try:
        rows = _spool(spools, len(ids), batches)
        with zipfile.ZipFile(path, "w") as archive:
            for name, row in rows.items():
                with spools[name].open("rb") as spool, archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    _write_header(member, row, len(ids))
                    shutil.copyfileobj(spool, member, CHUNK_BYTES)
            with archive.open(f"{IDS}.npy", "w") as member:
                np.lib.format.write_array(member, np.array(list(ids), dtype=np.str_))
    finally:
        for spool_path in spools.values():
            spool_path.unlink(missing_ok=True)
    return Predictions(path, sha256_of(path), tuple(names), len(ids))


def _spool(spools: Mapping[str, Path], count: int, batches: Iterable[Mapping[str, NDArray[Any]]]) -> dict[str, _Layout]:
    rows: dict[str, _Layout] = {}
    done = 0
    with ExitStack() as stack:
        files = {name: stack.enter_context(spool.open("wb")) for name, spool in spools.items()}
        for batch in batches:
            _check_names(spools, batch)
            wanted = min(count - done, min(array.shape[0] for array in batch.values()))
            for name, array in batch.items():
                row = _Layout(array.dtype, array.shape[1:])
                if rows.setdefault(name, row) != row:
                    raise ComparisonError(f"output {name!r} changes from {rows[name]} to {row} at sample {done}")
                files[name].write(np.ascontiguousarray(array[:wanted]).tobytes())
            done += wanted
    if done < count:
        raise ComparisonError(
            f"{count} samples went in, {done} outputs came out", "look for a failure in the tool's log"
        )
    return rows


def _check_names(expected: Iterable[str], batch: Mapping[str, Any]) -> None:
    if set(batch) != set(expected):
        raise ComparisonError(
            f"the outputs are named {', '.join(sorted(batch))}, the model declares {', '.join(sorted(expected))}",
            "correct model.outputs, in the order in which the network returns them",
        )


def _write_header(member: IO[bytes], row: _Layout, count: int) -> None:
    description = np.lib.format.dtype_to_descr(row.dtype)
    np.lib.format.write_array_header_2_0(
        member, {"descr": description, "fortran_order": False, "shape": (count, *row.shape)}
    )


def read_ids(path: Path) -> list[str]:
    """Return the sample ids, in order."""
    with np.load(path) as arrays:
        return [str(name) for name in arrays[IDS]]


def iterate(path: Path, output: str, rows: int) -> Iterator[NDArray[Any]]:
    """Yield consecutive chunks [<= rows, ...] of an output."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{output}.npy") as member:
        shape, dtype = _read_header(member)
        row_bytes = dtype.itemsize * int(np.prod(shape[1:]))
        for start in range(0, shape[0], rows):
            count = min(rows, shape[0] - start)
            yield np.frombuffer(member.read(count * row_bytes), dtype=dtype).reshape(count, *shape[1:])


def iterate_all(predictions: Predictions, rows: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield consecutive chunks [<= rows, ...] of all outputs, by name."""
    outputs = [iterate(predictions.path, name, rows) for name in predictions.outputs]
    for chunks in zip(*outputs, strict=True):
        yield dict(zip(predictions.outputs, chunks, strict=True))


def row_shape(path: Path, output: str) -> tuple[int, ...]:
    """Return the shape of one sample's output."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{output}.npy") as member:
        return _read_header(member)[0][1:]


def _read_header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(member)
    return shape, dtype

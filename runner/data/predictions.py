"""Outputs of a model on disk: one .npz with an array per output name in sample order, and `ids`.

Where an output's shape differs between samples, its array is flat, all values in order, and `<output>.shapes` holds
each sample's shape [count, axes]. Written and read in chunks, so that memory use does not depend on the number of
samples.
"""

from __future__ import annotations

import math
import shutil
import struct
import zipfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import IO, Any

from runner.core import FREE, ComparisonError, Predictions, TensorSpec, first_few, sha256_of
from runner.core.lazy import NDArray, np

IDS = "ids"
SHAPES = ".shapes"
"""Ends the name of an array of shapes."""
CHUNK_BYTES = 8 << 20
ROWS_AT_ONCE = 256
BYTES_AT_ONCE = 32 << 20
"""Limits of what is read at once, unless a single row exceeds them."""

_LOCAL_HEADER_BYTES = 30
"""Of a member of a zip file, before its name and extra field (APPNOTE.TXT of PKWARE, section 4.3.7)."""

Shape = tuple[int, ...]


@dataclass
class _Layout:
    """Type of an output, and the shapes of its rows: (shape, number of consecutive rows)."""

    dtype: np.dtype[Any]
    runs: list[tuple[Shape, int]] = field(default_factory=list)

    def add(self, shape: Shape, rows: int) -> None:
        if self.runs and self.runs[-1][0] == shape:
            rows += self.runs.pop()[1]
        self.runs.append((shape, rows))

    @property
    def shapes(self) -> NDArray[np.int64] | None:
        """The shape of each row [count, axes]; None if all are the same."""
        if len(self.runs) == 1:
            return None
        return np.concatenate([np.tile(np.array(shape, np.int64), (rows, 1)) for shape, rows in self.runs])


def write(
    path: Path,
    names: Sequence[str],
    ids: Sequence[str],
    batches: Iterable[Mapping[str, NDArray[Any]]],
    streamed: TensorSpec | None = None,
) -> Predictions:
    """Write the outputs of consecutive batches, as `writing` does.

    Raises:
        ComparisonError: as `writing`.
    """
    with writing(path, names, ids, streamed) as add:
        for batch in batches:
            add(batch)
    return written(path, names, ids)


def written(path: Path, names: Sequence[str], ids: Sequence[str]) -> Predictions:
    """Return the description of a written file."""
    return Predictions(path, sha256_of(path), tuple(names), len(ids))


@contextmanager
def writing(
    path: Path, names: Sequence[str], ids: Sequence[str], streamed: TensorSpec | None = None
) -> Iterator[Callable[[Mapping[str, NDArray[Any]]], None]]:
    """Yield the function that writes the outputs [rows, ...] of a batch; `len(ids)` rows in total.

    The others than `streamed`, an output whose shape is known, are collected in files beside it first.

    Raises:
        ComparisonError: a batch has other outputs, an output changes its type or number of axes, or rows are missing.
    """
    spools = {name: path.with_name(f".{path.name}.{index}.spool") for index, name in enumerate(names)}
    known = {} if streamed is None else {streamed.name: _Layout(np.dtype(streamed.dtype), [(streamed.shape, len(ids))])}
    try:
        with zipfile.ZipFile(path, "w") as archive:
            with ExitStack() as stack:
                sinks = {name: stack.enter_context(_sink(archive, name, spools, known)) for name in names}
                rows = _Rows(sinks)
                yield rows.add
            rows.check(len(ids))
            if streamed is not None and rows.layouts[streamed.name] != known[streamed.name]:
                raise _redeclared(streamed, rows.layouts[streamed.name])
            for name, layout in rows.layouts.items():
                if name not in known:
                    _copy(archive, name, layout, spools[name])
                if layout.shapes is not None:
                    with archive.open(f"{name}{SHAPES}.npy", "w") as member:
                        np.lib.format.write_array(member, layout.shapes)
            with archive.open(f"{IDS}.npy", "w") as member:
                np.lib.format.write_array(member, np.array(list(ids), dtype=np.str_))
    finally:
        for spool_path in spools.values():
            spool_path.unlink(missing_ok=True)


def _sink(archive: zipfile.ZipFile, name: str, spools: Mapping[str, Path], known: Mapping[str, _Layout]) -> IO[bytes]:
    """Return where an output's values are written: its place in the archive if its layout is known, else its spool."""
    if name not in known:
        return spools[name].open("wb")
    member = archive.open(f"{name}.npy", "w", force_zip64=True)
    _write_header(member, known[name])
    return member


def _copy(archive: zipfile.ZipFile, name: str, layout: _Layout, spool_path: Path) -> None:
    with spool_path.open("rb") as spool, archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        _write_header(member, layout)
        shutil.copyfileobj(spool, member, CHUNK_BYTES)


class _Rows:
    """Writes batches, each output's rows into its sink, and notes their layouts."""

    def __init__(self, sinks: Mapping[str, IO[bytes]]) -> None:
        self.layouts: dict[str, _Layout] = {}
        self._sinks = sinks
        self._count = 0

    def add(self, batch: Mapping[str, NDArray[Any]]) -> None:
        _check_names(self._sinks, batch)
        for name, array in batch.items():
            layout = self.layouts.setdefault(name, _Layout(array.dtype))
            _check_layout(name, layout, array, self._count)
            layout.add(array.shape[1:], len(array))
            self._sinks[name].write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
        self._count += min(len(array) for array in batch.values())

    def check(self, count: int) -> None:
        """Check that there are `count` rows."""
        if self._count != count:
            raise ComparisonError(
                f"{count} samples went in, {self._count} outputs came out", "look for a failure in the tool's log"
            )


def _check_layout(name: str, layout: _Layout, array: NDArray[Any], done: int) -> None:
    axes = array.ndim if not layout.runs else 1 + len(layout.runs[0][0])
    if (array.dtype, array.ndim) != (layout.dtype, axes):
        raise ComparisonError(
            f"output {name!r} changes from {layout.dtype} with {axes} axes to {array.dtype} {list(array.shape)} at "
            f"sample {done}",
            "look for a failure in the tool's log",
        )


def _redeclared(declared: TensorSpec, layout: _Layout) -> ComparisonError:
    """Return the error for an output that is not as the model declares it."""
    shapes = first_few([str(list(shape)) for shape in dict.fromkeys(shape for shape, _ in layout.runs)])
    return ComparisonError(
        f"output {declared.name!r} is {layout.dtype} {shapes} per sample, and the model declares {declared.dtype} "
        f"{declared.shown_shape}",
        "correct model.outputs, in the order in which the network returns them",
    )


def _check_names(expected: Iterable[str], batch: Mapping[str, Any]) -> None:
    if set(batch) != set(expected):
        raise ComparisonError(
            f"the outputs are named {', '.join(sorted(batch))}, the model declares {', '.join(sorted(expected))}",
            "correct model.outputs, in the order in which the network returns them",
        )


def _write_header(member: IO[bytes], layout: _Layout) -> None:
    (shape, count), *others = layout.runs
    total = (_elements(layout.runs),) if others else (count, *shape)
    description = np.lib.format.dtype_to_descr(layout.dtype)
    np.lib.format.write_array_header_2_0(member, {"descr": description, "fortran_order": False, "shape": total})


def _elements(runs: Iterable[tuple[Shape, int]]) -> int:
    return sum(rows * math.prod(shape) for shape, rows in runs)


def read_ids(path: Path) -> list[str]:
    """Return the sample ids, in order."""
    with np.load(path) as arrays:
        return [str(name) for name in arrays[IDS]]


@dataclass(frozen=True)
class _Column:
    """An output's rows in an open file: the first one's position, and the layout of all."""

    position: int
    layout: _Layout

    def read(self, file: FileIO, first: int, before: int, shape: Shape, rows: int) -> NDArray[Any]:
        """Read `rows` rows of `shape`; `before` elements come before row `first` of their run."""
        values = np.empty((rows, *shape), self.layout.dtype)
        row_elements = math.prod(shape)
        file.seek(self.position + self.layout.dtype.itemsize * (before + first * row_elements))
        if values.size and file.readinto(values.data.cast("B")) != values.nbytes:
            raise ComparisonError(f"{file.name} ends early", "run again with force=[infer,reference]")
        return values


def iterate(predictions: Predictions, indices: Sequence[int] | None = None) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield all outputs by name in chunks of consecutive rows of one shape, [rows, ...].

    With `indices`, ascending, only those rows: only they are read.
    """
    with predictions.path.open("rb", buffering=0) as file:
        columns = _columns(predictions, file)
        before = dict.fromkeys(columns, 0)
        start = 0
        for shapes, rows in _common_runs([column.layout.runs for column in columns.values()]):
            shape_of = dict(zip(columns, shapes, strict=True))
            row_bytes = sum(columns[name].layout.dtype.itemsize * math.prod(shape) for name, shape in shape_of.items())
            at_once = min(ROWS_AT_ONCE, max(1, BYTES_AT_ONCE // max(1, row_bytes)))
            for spans in _chunks_of_spans(range(start, start + rows), indices, at_once):
                yield {
                    name: _joined(
                        [
                            column.read(file, first - start, before[name], shape_of[name], end - first)
                            for first, end in spans
                        ]
                    )
                    for name, column in columns.items()
                }
            start += rows
            for name, shape in shape_of.items():
                before[name] += rows * math.prod(shape)


def by_row(outputs: Mapping[str, NDArray[Any]]) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the outputs [...] by name of each row of a chunk."""
    for row in range(len(next(iter(outputs.values())))):
        yield {name: array[row] for name, array in outputs.items()}


def _columns(predictions: Predictions, file: FileIO) -> dict[str, _Column]:
    with zipfile.ZipFile(predictions.path) as archive:
        columns = {}
        for name in predictions.outputs:
            header = archive.getinfo(f"{name}.npy").header_offset
            file.seek(header + _LOCAL_HEADER_BYTES - 4)
            lengths = struct.unpack("<HH", file.read(4))  # of the member's name and of its extra field
            file.seek(header + _LOCAL_HEADER_BYTES + sum(lengths))
            _read_header(file)
            columns[name] = _Column(file.tell(), _layout(archive, name))
    return columns


def _chunks_of_spans(run: range, indices: Sequence[int] | None, at_once: int) -> Iterator[list[tuple[int, int]]]:
    """Yield the chunks of the wanted rows of a run, each as spans [first, end) of consecutive rows."""
    if indices is None:
        yield from ([(first, min(first + at_once, run.stop))] for first in range(run.start, run.stop, at_once))
        return
    wanted = indices[bisect_left(indices, run.start) : bisect_left(indices, run.stop)]
    for start in range(0, len(wanted), at_once):
        spans: list[tuple[int, int]] = []
        for index in wanted[start : start + at_once]:
            if spans and spans[-1][1] == index:
                spans[-1] = (spans[-1][0], index + 1)
            else:
                spans.append((index, index + 1))
        yield spans


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def row_shape(path: Path, output: str) -> Shape:
    """Return the shape of one sample's output, with FREE for axes on which samples differ.

    Raises:
        KeyError: there is no such output.
    """
    with zipfile.ZipFile(path) as archive:
        runs = _layout(archive, output).runs
    return tuple(
        sizes[0] if len(set(sizes)) == 1 else FREE for sizes in zip(*(shape for shape, _ in runs), strict=True)
    )


def _layout(archive: zipfile.ZipFile, name: str) -> _Layout:
    with archive.open(f"{name}.npy") as member:
        shape, dtype = _read_header(member)
    if f"{name}{SHAPES}.npy" not in archive.namelist():
        return _Layout(dtype, [(shape[1:], shape[0])])
    with archive.open(f"{name}{SHAPES}.npy") as member:
        shapes = np.lib.format.read_array(member)
    layout = _Layout(dtype)
    for each in shapes.tolist():
        layout.add(tuple(each), 1)
    return layout


def _common_runs(columns: Sequence[Sequence[tuple[Shape, int]]]) -> Iterator[tuple[tuple[Shape, ...], int]]:
    """Yield runs of rows in which no output changes its shape: the shape of each output, and the number of rows."""
    rest = [list(reversed(runs)) for runs in columns]
    while all(rest):
        rows = min(runs[-1][1] for runs in rest)
        yield tuple(runs[-1][0] for runs in rest), rows
        for runs in rest:
            shape, count = runs.pop()
            if count > rows:
                runs.append((shape, count - rows))


def _read_header(member: IO[bytes]) -> tuple[Shape, np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(member)
    return shape, dtype


def check_finite(outputs: Mapping[str, NDArray[Any]], ids: Sequence[str], side: str = "the compiled model") -> None:
    """Check the outputs [N, ...] of samples; `side` says in errors whose they are.

    Raises:
        ComparisonError: one is NaN or infinite.
    """
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

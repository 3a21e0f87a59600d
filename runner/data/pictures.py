"""Pictures -> arrays of the rows that a network takes, on all cores, in bounded memory, resuming after a killed run.

Workers write chunks of pictures at their own offsets of one file. Finished chunks are fsynced and then recorded in a
journal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from runner.core import FREE, DataError, Problem, Samples, TensorSpec, track
from runner.core.lazy import Image, NDArray, np
from runner.data import _journal
from runner.data._journal import JOURNAL, Placements
from runner.data._workers import run_jobs
from runner.data.preprocess import Geometry, Placed, fit_picture, place
from runner.data.reader import Request
from runner.data.rows import Row
from runner.data.storage import (
    TRUTH,
    StoredArray,
    create_array,
    finish,
    limit_note,
    open_array,
    storable_types,
    unwritable,
    write_at,
)

CHUNK_PICTURES = 32
BROKEN_SHOWN = 5
FIT_FIX = "set model.preprocess.fit to stretch or inside, or its resize and crop, so that all become that size"


@dataclass(frozen=True, kw_only=True)
class TruthArrays:
    """Ground truth that is an array per picture, such as a label map: its type, its shape, and what loads it.

    Both callables take a picture's item, are picklable, and raise DataError.
    """

    dtype: str
    shape_of: Callable[[str], tuple[int, ...]]
    load: Callable[[str], NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class PictureSource:
    """How pictures are got: `load` decodes one, `size_of` tells its [height, width] without decoding it.

    Callables take a picture's item (its file, or whatever the reader names it by), are picklable, and raise DataError.
    `alter`, if given, changes the row that was made of a picture, uint8 [channels, height, width], to one of the same
    shape in the network's type and in the same range, such as by noise; it is normalised later, as bytes are.
    """

    load: Callable[[str], Image.Image]
    size_of: Callable[[str], tuple[int, int]]
    truth: TruthArrays | None = None
    alter: Callable[[str, NDArray[np.uint8]], NDArray[Any]] | None = None


@dataclass(frozen=True)
class Picture:
    """A picture of a data set: its item, its id, and its ground truth in JSON types, if it has any."""

    item: str
    id: str
    truth: Any = None


@dataclass(frozen=True)
class _Task:
    """What all chunks share: the source, the geometry, and the arrays to write into."""

    source: PictureSource
    geometry: Geometry
    wanted: tuple[int, int]
    rows: StoredArray
    truths: StoredArray | None


@dataclass(frozen=True)
class _Chunk:
    """Consecutive pictures: their items, the indices of the first row and the first truth, and how they are placed.

    `placed` is None where every picture is one row of the network's own size: then workers find out.
    """

    items: tuple[str, ...]
    first_row: int
    first_truth: int
    placed: tuple[tuple[Placed, ...], ...] | None


def picture_tensor(request: Request, source: PictureSource | None = None) -> TensorSpec:
    """Return the tensor spec in which a model's pictures are stored: as bytes, unless the source alters them."""
    tensor = request.inputs[0]
    return tensor if source and source.alter else TensorSpec(tensor.name, "uint8", tensor.shape)


def picture_problems(request: Request) -> list[Problem]:
    """Return the reasons why pictures cannot be the model's input."""
    channels = 1 if request.geometry.channels == "grey" else 3
    if len(request.inputs) == 1 and _is_picture(request.inputs[0], channels):
        return []
    shapes = ", ".join(f"{tensor.name} {tensor.dtype} {tensor.shown_shape}" for tensor in request.inputs)
    fix = "choose a dataset= that fits, or a model with one input [3, height, width] of floating point or bytes"
    if len(request.inputs) == 1 and _is_picture(request.inputs[0], 3 if channels == 1 else 1):
        fix = f"set model.preprocess.channels={'rgb or bgr' if channels == 1 else 'grey'}"
    return [Problem(f"the data set holds pictures, {request.geometry.channels}, and the model takes {shapes}", fix)]


def _is_picture(tensor: TensorSpec, channels: int) -> bool:
    return "uint8" in storable_types(tensor) and len(tensor.shape) == 3 and tensor.shape[0] == channels


def size_problem(size: tuple[int, int], request: Request) -> Problem | None:
    """Return the problem of pictures of `size` [height, width] that do not become what the model takes."""
    tensor = request.inputs[0]
    channels, height, width = tensor.shape
    try:
        sizes = [piece.size for piece in place(size, request.geometry, (height, width))]
    except DataError as error:
        return Problem(f"a picture does not fit: {error.message}", error.fix)
    if all(tensor.takes((channels, *each)) for each in sizes):
        return None
    return Problem(
        f"pictures of {size[1]}x{size[0]} become {sizes[0][1]}x{sizes[0][0]} by model.preprocess, and the model takes "
        f"{tensor.shown_shape}",
        FIT_FIX,
    )


def picture_bytes(source: PictureSource, items: Sequence[str], request: Request) -> int:
    """Return the size on disk of the rows and the truths that `write_pictures` would write.

    Raises:
        DataError: the size of a picture cannot be read, or it does not fit the network.
    """
    tensor, wanted = picture_tensor(request, source), _wanted(request)
    truth = source.truth
    truths = 0 if truth is None else sum(_truth_tensor(truth).at(truth.shape_of(item)).sample_bytes for item in items)
    if not _varies(request.geometry, wanted):
        return len(items) * tensor.sample_bytes + truths
    placed = _placed_all(source, items, request.geometry, wanted)
    return sum(tensor.at(_row_shape(tensor, each)).sample_bytes for pieces in placed for each in pieces) + truths


def write_pictures(source: PictureSource, pictures: Sequence[Picture], request: Request, out: Path) -> list[Row]:
    """Write the rows of the pictures, and their truths, as arrays in `out`; return the rows' metadata.

    Rows are in the order of the pictures; where their shapes differ, those of one shape follow each other.

    Raises:
        DataError: pictures cannot be read or do not fit; the first few are named, finished chunks are kept.
        StoreError: the arrays cannot be written.
    """
    wanted, tensor = _wanted(request), picture_tensor(request, source)
    placed: Placements | None = None
    if _varies(request.geometry, wanted):
        placed = _placed_all(source, [picture.item for picture in pictures], request.geometry, wanted)
        order = _order(placed)
        pictures, placed = [pictures[index] for index in order], [placed[index] for index in order]
    items = [picture.item for picture in pictures]
    plan = hashlib.sha256(json.dumps([tensor.shape, CHUNK_PICTURES, items]).encode()).hexdigest()
    journal = out / JOURNAL
    arrays, finished = _resume(
        journal,
        plan,
        there=lambda: (open_array(out, tensor.name), open_array(out / TRUTH, TRUTH) if source.truth else None),
        new=lambda: (_create_rows(tensor, items, placed, out), _create_truths(source.truth, items, out)),
    )
    task = _Task(source, request.geometry, wanted, *arrays)
    chunks = _chunks(items, placed)
    jobs = {index: partial(_write_chunk, task, chunk) for index, chunk in enumerate(chunks) if index not in finished}
    broken: list[Problem] = []
    with track("prepare", len(items), "pictures") as advance, closing(run_jobs(jobs)) as results:
        advance(sum(len(chunks[index].items) for index in finished))
        for index, (problems, done) in results:
            if not problems:
                _journal.append(journal, index, done)
                finished[index] = done
            broken += problems
            advance(len(chunks[index].items))
            if len(broken) >= BROKEN_SHOWN:
                break
    if broken:
        raise DataError(
            "\n".join(problem.message for problem in broken[:BROKEN_SHOWN]),
            f"{broken[0].fix or 'take these pictures out of the data set'}; what is finished is kept",
        )
    pieces = [each for index in range(len(chunks)) for each in finished[index]]
    return [row for picture, each in zip(pictures, pieces, strict=True) for row in _rows(picture, each)]


def write_samples(
    source: PictureSource,
    pictures: Sequence[Picture],
    request: Request,
    out: Path,
    *,
    available: int,
    substitute: str | None = None,
    note: str | None = None,
) -> Samples:
    """Write the samples of the pictures, the first of `available` ones, into `out`.

    `substitute` and `note`: see Samples.

    Raises:
        DataError, StoreError: see `write_pictures`.
    """
    rows = write_pictures(source, pictures, request, out)
    notes = (note, limit_note(request.limit, available, "pictures"))
    return finish(
        out,
        request.inputs,
        rows,
        unnormalised=[request.inputs[0].name] if source.alter else [],
        substitute=substitute,
        note="; ".join(filter(None, notes)) or None,
    )


def _wanted(request: Request) -> tuple[int, int]:
    _, height, width = request.inputs[0].shape
    return height, width


def _varies(geometry: Geometry, wanted: tuple[int, int]) -> bool:
    """Return whether the number or the shape of the rows depends on the pictures' sizes."""
    return FREE in wanted or geometry.tile is not None


def _placed_all(source: PictureSource, items: Sequence[str], geometry: Geometry, wanted: tuple[int, int]) -> Placements:
    placed: Placements = []
    broken: list[DataError] = []
    for item in items:
        try:
            placed.append(_place(source.size_of(item), geometry, wanted, item))
        except DataError as error:
            broken.append(error)
            if len(broken) >= BROKEN_SHOWN:
                break
    if broken:
        raise DataError("\n".join(error.message for error in broken), broken[0].fix)
    return placed


def _place(size: tuple[int, int], geometry: Geometry, wanted: tuple[int, int], item: str) -> tuple[Placed, ...]:
    try:
        return place(size, geometry, wanted)
    except DataError as error:
        raise DataError(f"{item}: {error.message}", error.fix) from error


def _order(placed: Placements) -> list[int]:
    """Return the pictures' indices, those of one size after each other, else in their own order."""
    ranks: dict[tuple[int, int], int] = {}
    for pieces in placed:
        ranks.setdefault(pieces[0].size, len(ranks))
    return sorted(range(len(placed)), key=lambda index: ranks[placed[index][0].size])


def _row_shape(tensor: TensorSpec, placed: Placed) -> tuple[int, ...]:
    return (tensor.shape[0], *placed.size)


def _truth_tensor(truth: TruthArrays) -> TensorSpec:
    return TensorSpec(TRUTH, truth.dtype, ())


def _chunks(items: Sequence[str], placed: Placements | None) -> list[_Chunk]:
    chunks = []
    row = 0
    for start in range(0, len(items), CHUNK_PICTURES):
        part = slice(start, start + CHUNK_PICTURES)
        pieces = None if placed is None else tuple(placed[part])
        chunks.append(_Chunk(tuple(items[part]), row, start, pieces))
        row += len(items[part]) if pieces is None else sum(map(len, pieces))
    return chunks


def _rows(picture: Picture, pieces: Sequence[Placed]) -> Iterator[Row]:
    for number, placed in enumerate(pieces):
        yield Row(
            id=picture.id if len(pieces) == 1 else f"{picture.id}#{number}",
            sample=None if len(pieces) == 1 else picture.id,
            truth=picture.truth if number == 0 else None,
            original_size=placed.original_size,
            scale=placed.scale,
            padding=placed.padding,
        )


Arrays = tuple[StoredArray, StoredArray | None]
"""Of the rows, and of the truths, if they are arrays."""


def _resume(
    journal: Path, plan: str, *, there: Callable[[], Arrays], new: Callable[[], Arrays]
) -> tuple[Arrays, dict[int, Placements]]:
    """Return the arrays to write into and the chunks that an earlier attempt finished."""
    finished = _journal.read_finished(journal, plan)
    try:
        arrays = there() if finished else None
    except DataError:  # removed or truncated since
        arrays, finished = None, {}
    try:
        if arrays is None:
            journal.unlink(missing_ok=True)  # before the arrays are recreated, since it would describe the new ones
            arrays = new()
        _journal.begin(journal, plan, finished)
    except OSError as error:
        raise unwritable(journal, error) from error
    return arrays, finished


def _create_rows(tensor: TensorSpec, items: Sequence[str], placed: Placements | None, out: Path) -> StoredArray:
    if placed is None:
        return create_array(out, tensor, len(items))
    shapes = [_row_shape(tensor, each) for pieces in placed for each in pieces]
    return create_array(out, tensor, len(shapes), shapes)


def _create_truths(truth: TruthArrays | None, items: Sequence[str], out: Path) -> StoredArray | None:
    if truth is None:
        return None
    folder = out / TRUTH
    folder.mkdir(exist_ok=True)
    shapes = [truth.shape_of(item) for item in items]
    return create_array(folder, TensorSpec(TRUTH, truth.dtype, (FREE,) * len(shapes[0])), len(shapes), shapes)


Written = tuple[list[Problem], Placements]
"""The problems of pictures that could not be written, and how the others were placed."""


def _write_chunk(task: _Task, chunk: _Chunk) -> Written:
    """Write a chunk's rows and truths."""
    broken: list[Problem] = []
    placed: Placements = []
    arrays = [task.rows, *([task.truths] if task.truths else [])]
    try:
        with ExitStack() as stack:
            files = [_opened(array.path, stack) for array in arrays]
            row = chunk.first_row
            for number, item in enumerate(chunk.items):
                known = chunk.placed[number] if chunk.placed else None
                try:
                    placed.append(_write_picture(task, item, known, row, files[0]))
                    if task.truths is not None:
                        _write_truth(task, item, chunk.first_truth + number, files[1])
                except DataError as error:
                    broken.append(error.problem)
                row += 1 if known is None else len(known)
            for descriptor in files:
                os.fsync(descriptor)
    except OSError as error:
        raise unwritable(task.rows.path, error, task.rows.size_bytes) from error
    return broken, placed


def _opened(path: Path, stack: ExitStack) -> int:
    descriptor = os.open(path, os.O_WRONLY)
    stack.callback(os.close, descriptor)
    return descriptor


def _write_picture(
    task: _Task, item: str, placed: tuple[Placed, ...] | None, first_row: int, descriptor: int
) -> tuple[Placed, ...]:
    picture = task.source.load(item)
    pieces = placed or _place((picture.height, picture.width), task.geometry, task.wanted, item)
    if pieces[0].original_size != (picture.height, picture.width):
        raise DataError(
            f"{item} is {picture.width}x{picture.height} pixels, other than its header says",
            "the file is damaged: fetch it again, or take it out of the data set",
        )
    for index, each in enumerate(pieces, first_row):
        values: NDArray[Any] = fit_picture(picture, each, task.geometry)
        if task.source.alter is not None:
            values = np.ascontiguousarray(task.source.alter(item, values), task.rows.dtype)
        _check_shape(item, values, task.rows.shape_of(index), FIT_FIX)
        write_at(descriptor, values, task.rows.position(index))
    return pieces


def _write_truth(task: _Task, item: str, index: int, descriptor: int) -> None:
    array, truth = task.truths, task.source.truth
    if array is None or truth is None:
        return
    values = np.ascontiguousarray(truth.load(item), array.dtype)
    _check_shape(f"the truth of {item}", values, array.shape_of(index), "give a truth of that shape")
    write_at(descriptor, values, array.position(index))


def _check_shape(item: str, values: NDArray[Any], shape: Iterable[int], fix: str) -> None:
    if values.shape != tuple(shape):
        raise DataError(f"{item} is {list(values.shape)} after preprocessing, the model takes {list(shape)}", fix)

"""Pictures -> arrays of the rows that a network takes, on all cores, in bounded memory, resuming after a killed run.

Workers write chunks of pictures at their own offsets of one file. Finished chunks are fsynced and then recorded in a
journal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from runner.core import FREE, DataError, Problem, Samples, TensorSpec, track
from runner.core.lazy import NDArray, np
from runner.data import _journal
from runner.data._journal import JOURNAL, Placements
from runner.data._workers import run_jobs
from runner.data.picture_sources import (
    BROKEN_SHOWN,
    FIT_FIX,
    Picture,
    PictureSource,
    TruthArrays,
    picture_tensor,
    placed_of,
    placements,
    row_shape,
    wanted_size,
)
from runner.data.preprocess import Geometry, Placed, fit_picture
from runner.data.reader import Request
from runner.data.rows import Row
from runner.data.storage import (
    TRUTH,
    StoredArray,
    create_array,
    finish,
    limit_note,
    open_array,
    unwritable,
    write_at,
)

CHUNK_PICTURES = 32


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


def write_pictures(source: PictureSource, pictures: Sequence[Picture], request: Request, out: Path) -> list[Row]:
    """Write the rows of the pictures, and their truths, as arrays in `out`; return the rows' metadata.

    Rows are in the order of the pictures; where their shapes differ, those of one shape follow each other.

    Raises:
        DataError: pictures cannot be read or do not fit; the first few are named, finished chunks are kept.
        StoreError: the arrays cannot be written.
    """
    tensor = picture_tensor(request, source)
    placed = placements(source, [picture.item for picture in pictures], request)
    if placed is not None:
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
    task = _Task(source, request.geometry, wanted_size(request), *arrays)
    pieces = _write_chunks(task, _chunks(items, placed), journal, finished)
    return [row for picture, each in zip(pictures, pieces, strict=True) for row in _rows(picture, each)]


def _write_chunks(
    task: _Task, chunks: Sequence[_Chunk], journal: Path, finished: Mapping[int, Placements]
) -> Placements:
    """Write the chunks that are not finished, and record each in the journal; return how all pictures are placed."""
    placed = dict(finished)
    jobs = {index: partial(_write_chunk, task, chunk) for index, chunk in enumerate(chunks) if index not in finished}
    broken: list[Problem] = []
    total = sum(len(chunk.items) for chunk in chunks)
    with track("prepare", total, "pictures") as advance, closing(run_jobs(jobs)) as results:
        advance(sum(len(chunks[index].items) for index in finished))
        for index, (problems, done) in results:
            if not problems:
                _journal.append(journal, index, done)
                placed[index] = done
            broken += problems
            advance(len(chunks[index].items))
            if len(broken) >= BROKEN_SHOWN:
                break
    if broken:
        raise DataError(
            "\n".join(problem.message for problem in broken[:BROKEN_SHOWN]),
            f"{broken[0].fix or 'take these pictures out of the data set'}; what is finished is kept",
        )
    return [each for index in range(len(chunks)) for each in placed[index]]


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


def _order(placed: Placements) -> list[int]:
    """Return the pictures' indices, those of one size after each other, else in their own order."""
    ranks: dict[tuple[int, int], int] = {}
    for pieces in placed:
        ranks.setdefault(pieces[0].size, len(ranks))
    return sorted(range(len(placed)), key=lambda index: ranks[placed[index][0].size])


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
    shapes = [row_shape(tensor, each) for pieces in placed for each in pieces]
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
    pieces = placed or placed_of((picture.height, picture.width), task.geometry, task.wanted, item)
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

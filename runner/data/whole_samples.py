"""Outputs in chunks that never cut a sample in two: the rows of a sample (tiles) are decoded together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, TypeAlias

from runner.core.lazy import NDArray, np
from runner.data.rows import Row

Outputs: TypeAlias = "Mapping[str, NDArray[Any]]"
"""Outputs [rows, ...] by name."""
Sides = tuple[Outputs, ...]
"""The outputs of the same rows, by one side or by several."""


def spans(rows: Sequence[Row]) -> Iterator[slice]:
    """Yield which rows each sample has, in order."""
    end = 0
    for _, together in groupby(rows, key=lambda row: row.sample_id):
        start, end = end, end + sum(1 for _ in together)
        yield slice(start, end)


def with_rows(chunks: Iterable[Outputs], rows: Iterator[Row]) -> Iterator[tuple[Outputs, list[Row]]]:
    """Yield the outputs of consecutive rows with the rows' metadata, in chunks of whole samples."""
    sides = (((outputs,), list(islice(rows, _count(outputs)))) for outputs in chunks)
    for (outputs,), its_rows in regrouped(sides):
        yield outputs, its_rows


def regrouped(chunks: Iterable[tuple[Sides, list[Row]]]) -> Iterator[tuple[Sides, list[Row]]]:
    """Yield the same rows in chunks of whole samples."""
    held: tuple[Sides, list[Row]] | None = None
    for sides, rows in chunks:
        if held and held[1][-1].sample_id == rows[0].sample_id:
            sides, rows = tuple(map(_joined, held[0], sides)), held[1] + rows
        elif held:
            yield held
        last = next(index for index, row in enumerate(rows) if row.sample_id == rows[-1].sample_id)
        start = last if rows[-1].sample is not None else len(rows)
        if start:
            yield tuple(_part(side, slice(start)) for side in sides), rows[:start]
        held = (tuple(_part(side, slice(start, None)) for side in sides), rows[start:]) if rows[start:] else None
    if held:
        yield held


def _part(outputs: Outputs, rows: slice) -> Outputs:
    return {name: array[rows] for name, array in outputs.items()}


def _joined(first: Outputs, second: Outputs) -> Outputs:
    return {name: np.concatenate([array, second[name]]) for name, array in first.items()}


def _count(outputs: Outputs) -> int:
    return len(next(iter(outputs.values())))

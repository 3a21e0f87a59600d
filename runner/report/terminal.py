"""Render tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from runner import results as reading
from runner.report import tables
from runner.report.tables import Table
from runner.results import Result
from runner.results.published import Published

MOST_COLUMNS = 7
"""How many columns fit into a terminal of 80 characters."""


def render_sweep(results: Sequence[Result], published: Published) -> RenderableType:
    """Render the results of a sweep: a table for each model, and below it the jobs that failed."""
    rendered = [render(section.table) for section in tables.sections(results, published)]
    return Group(*rendered, *(Text(failed_in_words(result), style="red") for result in reading.failed(results)))


def failed_in_words(result: Result) -> str:
    """Describe a failed run in one line: which run, the stage that failed, and the error."""
    return f"failed: {tables.named(result)}: {tables.error_in_words(result)}"


def render(table: Table) -> RenderableType:
    """Render a table with its footnotes; a wide one is split into several, accuracy first."""
    below = [Text(f"{tables.BEST}: {tables.best_in_words(table)}")] if table.best_batches else []
    footnotes = [Text(f"[{number}] {note}") for number, note in enumerate(table.footnotes, 1)]
    return Group(*map(_rich, _narrow(table)), *below, *footnotes)


def _narrow(table: Table) -> Iterator[Table]:
    if len(table.columns) <= MOST_COLUMNS:
        yield table
        return
    performance = tables.performance_part(table).columns
    groups = [tables.accuracy_part(table).columns, performance]
    if len(performance) > MOST_COLUMNS:
        costs = tuple(column for column in performance if column.kind in (tables.MILLISECONDS, tables.MEMORY))
        groups[1:] = [tuple(column for column in performance if column not in costs), costs]
    for columns in groups:
        for start in range(0, len(columns), MOST_COLUMNS - 1):
            yield replace(table, columns=columns[start : start + MOST_COLUMNS - 1])


def _rich(table: Table) -> RichTable:
    rich = RichTable(title=Text(table.title), title_justify="left", title_style="bold")
    rich.add_column("batch", justify="right", no_wrap=True)
    for column in table.columns:
        heading = column.title.replace(" ", "\n").replace("/published", "\n/published")
        heading += f"\n{column.unit}" if column.unit else ""
        rich.add_column(Text(heading), justify="right", overflow="fold")
    for index, batch in enumerate(table.batches):
        rich.add_row(str(batch), *(tables.cell(column, index) for column in table.columns))
    if any(column.best is not None for column in table.columns):
        rich.add_section()
        rich.add_row("best", *(tables.text(column.best, column.kind) for column in table.columns), style="bold")
    return rich

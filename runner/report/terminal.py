"""Tables as the terminal shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from runner.report import results as reading
from runner.report import tables
from runner.report.published import Published
from runner.report.results import Result
from runner.report.tables import Table

MOST_COLUMNS = 7
"""What a terminal of 80 characters shows side by side."""


def render_sweep(results: Sequence[Result], published: Published) -> RenderableType:
    """What a sweep found: the guide's table of each model, and below it the jobs that failed."""
    parts = [render(section.table) for section in tables.sections(results, published)]
    return Group(*parts, *(Text(told_failed(result), style="red") for result in reading.failed(results)))


def told_failed(result: Result) -> str:
    """One line of a failed run: what it was, where it ended, and why."""
    return f"failed: {tables.named(result)}: {tables.told_error(result)}"


def render(table: Table) -> RenderableType:
    """A table for the terminal, its footnotes below it; a wide one in parts, accuracy first."""
    below = [Text(f"{tables.BEST}: {tables.told_best(table)}")] if table.best_batches else []
    footnotes = [Text(f"[{number}] {note}") for number, note in enumerate(table.footnotes, 1)]
    return Group(*map(_rich, _narrow(table)), *below, *footnotes)


def _narrow(table: Table) -> Iterator[Table]:
    if len(table.columns) <= MOST_COLUMNS:
        yield table
        return
    performance = tables.performance_part(table).columns
    parts = [tables.accuracy_part(table).columns, performance]
    if len(performance) > MOST_COLUMNS:
        latencies = tuple(column for column in performance if column.kind == "milliseconds")
        parts[1:] = [tuple(column for column in performance if column not in latencies), latencies]
    for columns in parts:
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

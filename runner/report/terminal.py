"""Render a report's tables, failures and sweeps for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from runner.report import columns, failures, tables
from runner.report.failures import FailedRun
from runner.report.tables import Table
from runner.results import Account

MOST_COLUMNS = 7
"""How many columns fit into a terminal of 80 characters."""


def render_failed(run: FailedRun) -> RenderableType:
    """Render a failed run: its errors in red, each followed by its fix, and the log."""
    return Group(*(Text(line, style="" if line.startswith(" ") else "red") for line in failures.lines(run)))


def render_sweep(account: Account) -> RenderableType:
    """Render how many jobs of a sweep are done, failed or missing, and which are missing."""
    style = "green" if account.is_complete else "red"
    return Group(
        *(Text(line, style="" if index else style) for index, line in enumerate(failures.sweep_lines(account)))
    )


def render(table: Table) -> RenderableType:
    """Render a table with its footnotes; a wide one is split into several, accuracy first."""
    below = [Text(f"{tables.BEST}: {tables.best_in_words(table)}")] if table.best_rows else []
    footnotes = [Text(f"[{number}] {note}") for number, note in enumerate(table.footnotes, 1)]
    return Group(*map(_rich, _narrow(table)), *below, *map(Text, table.remarks), *footnotes)


def _narrow(table: Table) -> Iterator[Table]:
    most = max(3, MOST_COLUMNS - len(table.keys))
    if len(table.columns) <= most:
        yield table
        return
    performance = tables.performance_part(table).columns
    groups = [tables.accuracy_part(table).columns, performance]
    if len(performance) > most:
        costs = tuple(column for column in performance if column.kind in (columns.MILLISECONDS, columns.MEMORY))
        groups[1:] = [tuple(column for column in performance if column not in costs), costs]
    for group in groups:
        for start in range(0, len(group), most - 1):
            yield replace(table, columns=group[start : start + most - 1])


def _rich(table: Table) -> RichTable:
    rich = RichTable(title=Text(table.title), title_justify="left", title_style="bold")
    rich.add_column("batch", justify="right", no_wrap=True)
    for key in table.keys:
        rich.add_column(Text(key.title), overflow="fold")
    for column in table.columns:
        heading = column.title.replace(" ", "\n").replace("/published", "\n/published")
        heading += f"\n{column.unit}" if column.unit else ""
        rich.add_column(Text(heading), justify="right", overflow="fold")
    for index, batch in enumerate(table.batches):
        keys = (Text(key.texts[index]) for key in table.keys)
        rich.add_row(str(batch), *keys, *(columns.cell(column, index) for column in table.columns))
    if table.has_best:
        rich.add_section()
        blank = [""] * len(table.keys)
        rich.add_row(
            "best", *blank, *(columns.text(column.best, column.kind) for column in table.columns), style="bold"
        )
    return rich

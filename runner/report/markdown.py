"""The report in Markdown: for each model a table of performance and a table of accuracy. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

from runner.report import tables
from runner.report.contents import Contents
from runner.report.tables import Section, Table
from runner.results import Result

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#&])")


@lru_cache(maxsize=4096)
def escaped(text: str) -> str:
    """Escape text so that Markdown shows it literally, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def grid(headings: Sequence[str], rows: Iterable[Sequence[str]], numeric: bool = True) -> list[str]:
    """Return the lines of a table, with its cells escaped; `numeric` right-aligns all columns but the first."""
    return [
        _row(headings),
        "| --- |" + (" ---: |" if numeric else " --- |") * (len(headings) - 1),
        *(_row(row) for row in rows),
    ]


def table_lines(
    table: Table,
    corner: str,
    best: str = tables.BEST,
    translate: Callable[[str], str] = lambda heading: heading,
) -> list[str]:
    """Return the lines of a table: a row for each batch size (bs1, ...), and one for the best batch if there is one.

    `translate` is applied to the headings.
    """
    rows = [
        [f"bs{batch}", *(tables.cell(column, index) for column in table.columns)]
        for index, batch in enumerate(table.batches)
    ]
    if any(column.best is not None for column in table.columns):
        rows.append([best, *(tables.text(column.best, column.kind) for column in table.columns)])
    return grid([corner, *(translate(column.heading) for column in table.columns)], rows)


def code(lines: Iterable[str], language: str = "shell") -> list[str]:
    """Return a fenced code block; the fence is longer than any run of backticks in it."""
    text = "\n".join(lines)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return [f"{fence}{language}", text, fence]


def page(contents: Contents) -> str:
    """Return the whole report."""
    lines = ["# Measured results", ""]
    for section in contents.sections:
        lines += [*_section(section), ""]
    lines += _published(contents)
    if contents.failed:
        lines += ["# Runs that failed", ""]
        lines += [f"- {escaped(tables.named(run))}: {escaped(tables.error_in_words(run))}" for run in contents.failed]
        lines.append("")
    if contents.skipped:
        lines += ["# Files that are not in this report", ""]
        lines += [f"- {escaped(skipped.path)}: {escaped(skipped.reason)}" for skipped in contents.skipped]
        lines.append("")
    return "\n".join(lines)


def _section(section: Section) -> Iterator[str]:
    table = section.table
    yield from (f"# {escaped(table.title)}", "")
    yield from _tables(table)
    if table.best_batches:
        yield from (f"Best batch: {escaped(tables.best_in_words(table))}.", "")
    for number, note in enumerate(table.footnotes, 1):
        yield f"- \\[{number}\\] {escaped(note)}"
    yield from ("", "## Gates", "", *_gates(section.runs), "")
    environments = dict.fromkeys(environment_line(run) for run in section.runs)
    yield from ("## Environment", "", *(f"- {escaped(line)}" for line in environments))


def _tables(table: Table) -> Iterator[str]:
    for heading, corner, columns in (
        ("Performance", "Throughput", tables.performance_part(table)),
        ("Accuracy", "Batch Size", tables.accuracy_part(table)),
    ):
        if columns.columns:
            yield from (f"## {heading}", "", *table_lines(columns, corner), "")


def _gates(runs: Sequence[Result]) -> list[str]:
    rows = [
        [
            f"{run.soc} {run.tool} bs{run.batch}",
            gate.name,
            gate.verdict,
            number(gate.measured),
            number(gate.expected),
            gate.reason,
            gate.source,
        ]
        for run in runs
        for gate in run.gates
    ]
    return (
        grid(["Run", "Gate", "Verdict", "Measured", "Expected", "Reason", "Source"], rows, numeric=False)
        if rows
        else ["none"]
    )


def _published(contents: Contents) -> Iterator[str]:
    models = dict.fromkeys(section.table.model for section in contents.sections)
    for model in models:
        rows = contents.published.get(model, ())
        if rows:
            yield from (f"# {escaped(model)}, as published", "")
            yield from _tables(tables.published_table(model, rows, contents.meanings(model)))
            yield from (f"Source: {escaped('; '.join(dict.fromkeys(row.source for row in rows)))}.", "")


def environment_line(run: Result) -> str:
    """Describe the environment of a run on one line."""
    environment = run.environment
    named = {"Python": environment.python, **environment.packages}
    versions = ", ".join(f"{name} {version}" for name, version in named.items() if version)
    fields = (environment.cpu, environment.memory, environment.os, *environment.tools.values(), versions)
    return "; ".join(filter(None, fields))


def number(value: float | None) -> str:
    """Format a measured or expected number; blank for None."""
    return "" if value is None else f"{value:.6g}"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"

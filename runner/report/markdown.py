"""The report in Markdown: for each model a table of performance and a table of accuracy. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from runner.core import visible
from runner.report import columns, failures, tables
from runner.report.contents import Contents
from runner.report.footnotes import substitutes
from runner.report.rows import differing
from runner.report.tables import Section, Table
from runner.results import Gate, Performance, Result, identity, values

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#&~$])")


@lru_cache(maxsize=4096)
def escaped(text: str) -> str:
    """Escape text so that Markdown shows it literally, on one line."""
    return SPECIAL.sub(r"\\\1", visible(" ".join(text.split())))


def grid(headings: Sequence[str], rows: Iterable[Sequence[str]], numeric: bool = True) -> list[str]:
    """Return the lines of a table, with its cells escaped; `numeric` right-aligns all columns but the first."""
    return [
        _row(headings),
        "| --- |" + (" ---: |" if numeric else " --- |") * (len(headings) - 1),
        *(_row(row) for row in rows),
    ]


def table_lines(table: Table, corner: str) -> list[str]:
    """Return the lines of a table: a row for each job (bs1, ...), and one for the best of them if there is one."""
    rows = [
        [
            f"bs{batch}",
            *(key.texts[index] for key in table.keys),
            *(columns.cell(column, index) for column in table.columns),
        ]
        for index, batch in enumerate(table.batches)
    ]
    if table.has_best:
        blank = [""] * len(table.keys)
        rows.append([tables.BEST, *blank, *(columns.text(column.best, column.kind) for column in table.columns)])
    return grid([corner, *(key.title for key in table.keys), *(column.heading for column in table.columns)], rows)


def code(lines: Iterable[str], language: str = "shell") -> list[str]:
    """Return a fenced code block; the fence is longer than any run of backticks in it."""
    text = visible("\n".join(lines))
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return [f"{fence}{language}", text, fence]


def page(contents: Contents) -> str:
    """Return the whole report."""
    lines = ["# Measured results", "", f"{escaped(contents.overview)}.", ""]
    lines += _failures(contents)
    for section in contents.sections:
        lines += [*_section(section), ""]
    lines += _published(contents)
    if contents.skipped:
        lines += ["## Files that are not in this report", ""]
        lines += [f"- {escaped(skipped.path)}: {escaped(skipped.reason)}" for skipped in contents.skipped]
        lines.append("")
    return "\n".join(lines)


def one_table(runs: Sequence[Result]) -> list[str]:
    """Return the lines of one table with a row for each job, fit for a README; doubtful figures say why they are."""
    metrics = {name: run.meaning(name).unit for run in runs for name in run.figures}
    keys = differing(runs)
    headings = ["Model", "SoC", "Tool", "Data set", *(key.title for key in keys), "Batch"]
    headings += [f"{name} ({values.sign(unit)})" if unit else name for name, unit in metrics.items()]
    rows = [
        [
            run.model,
            columns.with_chips(run.soc),
            run.tool,
            run.dataset,
            *(key.texts[index] for key in keys),
            str(run.batch),
            *(_marked(columns.text(run.figures.get(name), unit), _doubts(run)) for name, unit in metrics.items()),
            *_performance(run),
        ]
        for index, run in enumerate(runs)
    ]
    return grid([*headings, f"Throughput ({columns.RATE})", f"Latency ({columns.MILLISECONDS})"], rows, numeric=False)


def _performance(run: Result) -> list[str]:
    measured = run.performance or Performance()
    doubts = [] if measured.valid else ["not valid"]
    figures = ((measured.samples_per_second, columns.RATE), (measured.latency_ms.mean, columns.MILLISECONDS))
    return [_marked(columns.text(value, kind), doubts) for value, kind in figures]


def _doubts(run: Result) -> list[str]:
    return [*substitutes(run), *([] if run.limit is None else [f"{run.limit} samples"])]


def _marked(figure: str, doubts: Sequence[str]) -> str:
    return f"{figure} ({'; '.join(doubts)})" if figure and doubts else figure


def _failures(contents: Contents) -> Iterator[str]:
    if contents.failed:
        yield from ("## Runs that failed", "")
        rows = [(run.name, error.message, error.fix, run.log) for run in contents.failed for error in run.errors]
        yield from (*grid(["Run", "Error", "Fix", "Log"], rows, numeric=False), "")
    if contents.sweeps:
        yield from ("## Sweeps with jobs that are not done", "")
        for account in contents.sweeps:
            yield f"- {escaped(account.folder)} on {escaped(account.sweep.host)}: {account.totals}"
            yield from (f"  - missing: {escaped(failures.job_in_words(job))}" for job in account.missing)
        yield from ("", f"Missing is what was {failures.WHY_MISSING}.", "")


def _section(section: Section) -> Iterator[str]:
    table = section.table
    yield from (f"## {escaped(table.title)}", "")
    yield from _tables(table)
    if table.best_rows:
        yield from (f"Best batch: {escaped(tables.best_in_words(table))}.", "")
    yield from (f"- {escaped(remark)}" for remark in table.remarks)
    for number, note in enumerate(table.footnotes, 1):
        yield f"- \\[{number}\\] {escaped(note)}"
    yield from ("", "### Gates", "", *_gates(section.runs), "")
    environments = dict.fromkeys(environment_line(run) for run in section.runs)
    yield from ("### Environment", "", *(f"- {escaped(line)}" for line in environments))


def _tables(table: Table) -> Iterator[str]:
    for heading, corner, part in (
        ("Performance", "Throughput", tables.performance_part(table)),
        ("Accuracy", "Batch Size", tables.accuracy_part(table)),
    ):
        if part.columns:
            yield from (f"### {heading}", "", *table_lines(part, corner), "")


def _gates(runs: Sequence[Result]) -> list[str]:
    rows = [
        [identity.named(run), gate.verdict, values.of_gate(gate, run.meaning_of(gate)), gate.source]
        for run in runs
        for gate in sorted(run.gates, key=_failed_first)
    ]
    return grid(["Run", "Verdict", "Gate", "Source"], rows, numeric=False) if rows else ["none"]


def _failed_first(gate: Gate) -> bool:
    return gate.verdict != "fail"


def _published(contents: Contents) -> Iterator[str]:
    models = dict.fromkeys(section.table.model for section in contents.sections)
    for model in models:
        rows = contents.published.get(model, ())
        if rows:
            table = tables.published_table(model, rows, contents.meanings(model))
            yield from (f"## {escaped(model)}, as published", "")
            yield from _tables(table)
            yield from (f"- \\[{number}\\] {escaped(note)}" for number, note in enumerate(table.footnotes, 1))
            yield from (f"Source: {escaped('; '.join(dict.fromkeys(row.source for row in rows)))}.", "")


def environment_line(run: Result) -> str:
    """Describe the environment of a run on one line."""
    environment = run.environment
    named = {"Python": environment.python, **environment.packages}
    versions = ", ".join(f"{name} {version}" for name, version in named.items() if version)
    fields = (
        environment.host,
        environment.cpu,
        environment.memory,
        environment.os,
        *environment.tools.values(),
        versions,
    )
    return "; ".join(filter(None, fields))


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"

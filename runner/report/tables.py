"""Turn results into tables of jobs by batch size: accuracy, throughput, ratios and the published figures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from runner.config.schema import PublishedConfig
from runner.report.columns import (
    Column,
    Meanings,
    Setup,
    accuracy_columns,
    best_rate,
    is_performance,
    performance_columns,
    published_rates,
    ratio_columns,
    soc_rates,
    valid_rate,
    with_chips,
)
from runner.report.footnotes import Footnotes
from runner.report.rows import Key, arranged, in_words
from runner.results import Meaning, Result
from runner.results.published import Published

BEST = "best batch"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a row for each job of a SoC and tool, which stand side by side, and a row for the best of them.

    `batches` has the batch size of each row, `keys` what else tells the rows apart. `best_rows` holds the label and the
    index of the best row of each measured throughput column; None if no measurement is valid. `remarks` say what
    differs between the columns of SoCs and tools.
    """

    model: str
    title: str
    batches: tuple[int, ...]
    columns: tuple[Column, ...]
    footnotes: tuple[str, ...]
    keys: tuple[Key, ...] = ()
    best_rows: tuple[tuple[str, int | None], ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def has_best(self) -> bool:
        """Whether the row for the best job has any number."""
        return any(column.best is not None for column in self.columns)


@dataclass(frozen=True)
class Section:
    """A table and the runs it shows."""

    table: Table
    runs: tuple[Result, ...]


def weights_in_words(origin: str) -> str:
    """Describe the origin of weights."""
    return {"random": "random weights", "file": "weights from a file", "url": "published weights"}.get(
        origin, origin or "no weights"
    )


def sections(runs: Iterable[Result], published: Published) -> list[Section]:
    """Return a table of the runs of each model, data set and origin of weights: comparable figures."""
    ordered = sorted(runs, key=comparable)
    grouped = [(model, tuple(group)) for (model, _, _), group in groupby(ordered, key=comparable)]
    return [Section(_table(group, published.get(model, ())), group) for model, group in grouped]


def comparable(result: Result) -> tuple[str, str, str]:
    """Return what the results of one table have in common: model, data set and origin of weights."""
    return result.model, result.dataset, result.weights_origin


def accuracy_part(table: Table) -> Table:
    """Return the table with its accuracy columns only."""
    return replace(table, columns=tuple(column for column in table.columns if not is_performance(column)))


def performance_part(table: Table) -> Table:
    """Return the table with its performance columns only."""
    return replace(table, columns=tuple(column for column in table.columns if is_performance(column)))


def published_table(model: str, rows: Sequence[PublishedConfig], meanings: Meanings) -> Table:
    """Return a table of the published figures alone: each SoC's accuracy and throughput, and the ratios."""
    batches = tuple(sorted({row.batch for row in rows}))
    socs = sorted({row.soc for row in rows})
    blank: tuple[tuple[int, ...], ...] = ((),) * len(batches)
    footnotes = Footnotes()
    columns = []
    for soc in socs:
        of_soc = {row.batch: row for row in rows if row.soc == soc}
        for name in dict.fromkeys(name for row in of_soc.values() for name in row.accuracy):
            figures = tuple(of_soc[batch].accuracy.get(name) if batch in of_soc else None for batch in batches)
            unit = meanings.get(name, Meaning()).unit
            columns.append(Column(title=f"{soc} {name}", kind=unit, values=figures, notes=blank))
    throughputs = {soc: published_rates(with_chips(soc), rows, soc, batches, footnotes) for soc in socs}
    columns += [*throughputs.values(), *ratio_columns(throughputs)]
    return Table(
        model=model,
        title=f"{model} (published)",
        batches=batches,
        columns=tuple(columns),
        footnotes=tuple(footnotes.texts),
    )


def best_in_words(table: Table) -> str:
    """Describe the best job on each SoC: `310P3 32, t4 64`, or `cpu 8 threads=2` where more than the batch differs."""
    return ", ".join(
        f"{label} {'none, as no measurement is valid' if row is None else _row_in_words(table, row)}"
        for label, row in table.best_rows
    )


def _row_in_words(table: Table, row: int) -> str:
    return " ".join([str(table.batches[row]), *in_words(table.keys, row)])


def _table(runs: Sequence[Result], published: Sequence[PublishedConfig]) -> Table:
    labels = _labels(runs)
    rows = arranged(runs, labels)
    batches = rows.batches
    setups = [Setup(label, pair[0], rows.of(pair)) for pair, label in labels.items()]
    footnotes = Footnotes()
    columns = [column for setup in setups for column in accuracy_columns(setup, batches, len(setups) > 1, footnotes)]
    for setup in setups:
        columns += performance_columns(setup, batches, published, footnotes)
    columns += ratio_columns(soc_rates(setups, batches, footnotes))
    first = runs[0]
    return Table(
        model=first.model,
        title=f"{first.model} ({first.dataset}, {weights_in_words(first.weights_origin)})",
        batches=batches,
        columns=tuple(columns),
        footnotes=tuple(footnotes.texts),
        keys=rows.keys,
        best_rows=tuple(_best_rows(setups)),
        remarks=rows.remarks,
    )


def _labels(runs: Sequence[Result]) -> dict[tuple[str, str], str]:
    """Return the label of each SoC and tool: the tool is told where a SoC has several."""
    pairs = sorted({(run.soc, run.tool) for run in runs})
    socs = [soc for soc, _ in pairs]
    return {(soc, tool): with_chips(soc) + ("" if socs.count(soc) == 1 else f" {tool}") for soc, tool in pairs}


def _best_rows(setups: Sequence[Setup]) -> Iterator[tuple[str, int | None]]:
    for setup in setups:
        if any(run.performance for run in setup.runs.values()):
            best = best_rate(setup)
            counting = (row for row, run in setup.runs.items() if best is not None and valid_rate(run) == best)
            yield setup.label, next(counting, None)

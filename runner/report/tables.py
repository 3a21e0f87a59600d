"""Turn results into tables of jobs by batch size: accuracy, throughput, ratios and the published figures. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from runner.config.schema import PublishedConfig
from runner.report.rows import Key, arranged
from runner.results import Gate, Meaning, Performance, Result, gates, values
from runner.results.published import Published, chips_of

RATIOS = (("310P/310", "310P3", "310"), ("310P/T4", "310P3", "t4"))
"""The ratio columns of the published guides: title, SoC of the numerator, SoC of the denominator."""
BEST = "best batch"

Value = float | None
Meanings = Mapping[str, Meaning]
"""The meanings of metrics, by name."""
RATE, MILLISECONDS, MEMORY, RATIO = "samples/s", "ms", "MiB", "ratio"
"""Kinds of columns; the kind of a metric's column is its unit."""
_FORMATS = {MILLISECONDS: ".3f", MEMORY: ".1f", RATIO: ".2f"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: `values` has a number or None for each row, `notes` the indices of each value's footnotes.

    `best` is the value in the best-batch row.
    """

    title: str
    kind: str
    values: tuple[Value, ...]
    notes: tuple[tuple[int, ...], ...]
    best: Value = None

    @property
    def unit(self) -> str:
        """The unit; empty for a plain number."""
        return "" if self.kind == RATIO else values.sign(self.kind)

    @property
    def heading(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


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


@dataclass(frozen=True)
class Section:
    """A table and the runs it shows."""

    table: Table
    runs: tuple[Result, ...]


@dataclass(frozen=True)
class _Setup:
    """The runs of one SoC and tool, by the index of their row."""

    label: str
    soc: str
    runs: Mapping[int, Result]

    @property
    def includes_copies(self) -> bool:
        return any(run.includes_copies for run in self.runs.values())


def weights_in_words(origin: str) -> str:
    """Describe the origin of weights."""
    return {"random": "random weights", "file": "weights from a file", "url": "published weights"}.get(
        origin, origin or "no weights"
    )


def ratio(above: Value, below: Value) -> Value:
    """Return above / below; None if either is missing or not finite, or below is not positive."""
    if above is None or below is None or not math.isfinite(above) or not math.isfinite(below) or below <= 0:
        return None
    quotient = above / below
    return quotient if math.isfinite(quotient) else None


def text(value: Value, kind: str) -> str:
    """Format a number for people, without its unit; blank for None, `NaN` for not-a-number."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{value}"
    if kind == RATE:
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"
    return format(value, _FORMATS[kind]) if kind in _FORMATS else values.number(value, kind, ".4g")


def meanings(results: Iterable[Result]) -> dict[str, Meaning]:
    """Return the meanings of the metrics of these results, by name."""
    return {name: meaning for result in results for name, meaning in result.metrics.items()}


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
    return replace(table, columns=tuple(column for column in table.columns if not _is_performance(column)))


def performance_part(table: Table) -> Table:
    """Return the table with its performance columns only."""
    return replace(table, columns=tuple(column for column in table.columns if _is_performance(column)))


def published_table(model: str, rows: Sequence[PublishedConfig], meanings: Meanings) -> Table:
    """Return a table of the published figures alone: each SoC's accuracy and throughput, and the ratios."""
    batches = tuple(sorted({row.batch for row in rows}))
    socs = sorted({row.soc for row in rows})
    blank: tuple[tuple[int, ...], ...] = ((),) * len(batches)
    footnotes = _Footnotes()
    columns = []
    for soc in socs:
        of_soc = {row.batch: row for row in rows if row.soc == soc}
        for name in dict.fromkeys(name for row in of_soc.values() for name in row.accuracy):
            figures = tuple(of_soc[batch].accuracy.get(name) if batch in of_soc else None for batch in batches)
            unit = meanings.get(name, Meaning()).unit
            columns.append(Column(title=f"{soc} {name}", kind=unit, values=figures, notes=blank))
    throughputs = {soc: _published_rates(with_chips(soc), rows, soc, batches, footnotes) for soc in socs}
    columns += [*throughputs.values(), *_ratio_columns(throughputs)]
    return Table(
        model=model,
        title=f"{model} (published)",
        batches=batches,
        columns=tuple(columns),
        footnotes=tuple(footnotes.texts),
    )


def cell(column: Column, index: int) -> str:
    """Format a value with its footnote marks, as in `12.50 [1]`; a missing value leaves the marks alone."""
    marks = "".join(f"[{note + 1}]" for note in column.notes[index])
    return " ".join(filter(None, (text(column.values[index], column.kind), marks)))


def best_in_words(table: Table) -> str:
    """Describe the best job on each SoC: `310P3 32, t4 64`, or `cpu 8 threads=2` where more than the batch differs."""
    return ", ".join(
        f"{label} {'none, as no measurement is valid' if row is None else _row_in_words(table, row)}"
        for label, row in table.best_rows
    )


def _row_in_words(table: Table, row: int) -> str:
    differing = [f"{key.title}={key.texts[row]}" for key in table.keys if key.texts[row]]
    return " ".join([str(table.batches[row]), *differing])


def error_in_words(result: Result) -> str:
    """Return the failed stage and the first line of its error message."""
    if result.error is None:
        return "no reason is given"
    return f"{result.error.stage}: {(result.error.message.splitlines() or [''])[0]}"


class _Footnotes:
    """Unique footnotes in the order of first use."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def indices(self, notes: Iterable[str]) -> tuple[int, ...]:
        indices = []
        for note in notes:
            if note not in self.texts:
                self.texts.append(note)
            indices.append(self.texts.index(note))
        return tuple(indices)


def _table(runs: Sequence[Result], published: Sequence[PublishedConfig]) -> Table:
    labels = _labels(runs)
    rows = arranged(runs, labels)
    batches = rows.batches
    setups = [_Setup(label, pair[0], rows.of(pair)) for pair, label in labels.items()]
    footnotes = _Footnotes()
    columns = [column for setup in setups for column in _accuracy_columns(setup, batches, len(setups) > 1, footnotes)]
    for setup in setups:
        columns += _performance_columns(setup, batches, published, footnotes)
    columns += _ratio_columns(_soc_rates(setups, batches, footnotes))
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


def with_chips(soc: str) -> str:
    """Name a SoC; one with several chips a card, for which figures are a card's, says so."""
    chips = chips_of(soc)
    return soc if chips == 1 else f"{soc} ({chips} chips)"


def _accuracy_columns(setup: _Setup, batches: Sequence[int], prefixed: bool, footnotes: _Footnotes) -> Iterator[Column]:
    prefix = f"{setup.label} " if prefixed else ""
    for name in dict.fromkeys(name for run in setup.runs.values() for name in run.figures):
        unit = meanings(setup.runs.values()).get(name, Meaning()).unit
        yield _column(
            f"{prefix}{name}",
            unit,
            batches,
            setup.runs,
            lambda run, name=name: run.figures.get(name),  # type: ignore[misc]
            lambda run: footnotes.indices(_accuracy_notes(run)) if run.figures else (),
        )
        expected = _column(
            f"{prefix}published {name}",
            unit,
            batches,
            setup.runs,
            lambda run, name=name: _expected(run, f"accuracy.{name}").expected,  # type: ignore[misc]
            lambda run, name=name: footnotes.indices(_elsewhere_notes(run, f"accuracy.{name}")),  # type: ignore[misc]
        )
        if any(value is not None for value in expected.values):
            yield expected
        if any(_differs(run, name, unit) for run in setup.runs.values()):
            yield _column(
                f"{prefix}{name} by {_reference(setup)}",
                unit,
                batches,
                setup.runs,
                lambda run, name=name: _of_reference(run).get(name),  # type: ignore[misc]
                lambda run, name=name, unit=unit: footnotes.indices(_subset_notes(run, name, unit)),  # type: ignore[misc]
            )


def _of_reference(run: Result) -> Mapping[str, float | None]:
    """Return the metrics of the reference's outputs; results of versions before 0.2 have none."""
    return run.fidelity.accuracy if run.fidelity else {}


def _reference(setup: _Setup) -> str:
    return next(run.fidelity.reference for run in setup.runs.values() if run.fidelity)


def _differs(run: Result, name: str, unit: str) -> bool:
    """Return whether a metric of the reference's outputs differs from the tool's on the same samples, as shown."""
    compared = [each.get(name) for each in (run.fidelity.accuracy, run.fidelity.tool_accuracy)] if run.fidelity else []
    return len({text(value, unit) for value in compared}) > 1


def _subset_notes(run: Result, name: str, unit: str) -> Iterator[str]:
    if run.fidelity and name in run.fidelity.accuracy and run.fidelity.samples != (run.accuracy or {}).get("samples"):
        own = values.with_unit(run.fidelity.tool_accuracy.get(name), Meaning(unit))
        yield f"on {run.fidelity.samples} samples, of which the tool's outputs give {name} {own}"


def _performance_columns(
    setup: _Setup, batches: Sequence[int], published: Sequence[PublishedConfig], footnotes: _Footnotes
) -> Iterator[Column]:
    if all(run.performance is None for run in setup.runs.values()):
        return
    measured = _rate_column(setup.label, batches, setup.runs, _best(setup), footnotes)
    yield measured
    rates = _published_rates(f"{setup.label} published", published, setup.soc, batches, footnotes)
    if any(rate is not None for rate in rates.values) and not setup.includes_copies:
        yield rates
        counting = [None if notes else rate for rate, notes in zip(rates.values, rates.notes, strict=True)]
        yield Column(
            title=f"{setup.label} measured/published",
            kind=RATIO,
            values=tuple(ratio(above, below) for above, below in zip(measured.values, counting, strict=True)),
            notes=tuple(() for _ in batches),
            best=ratio(measured.best, rates.best),
        )
    for name, kind, value in _COSTS:
        column = _column(f"{setup.label} {name}", kind, batches, setup.runs, _of_performance(value))
        if name == MEAN_LATENCY or any(each is not None for each in column.values):
            yield column


MEAN_LATENCY = "mean latency"
_COSTS: tuple[tuple[str, str, Callable[[Performance], Value]], ...] = (
    (MEAN_LATENCY, MILLISECONDS, lambda measured: measured.latency_ms.mean),
    ("load time", MILLISECONDS, lambda measured: measured.load_ms),
    ("first call", MILLISECONDS, lambda measured: measured.first_call_ms),
    ("peak memory", MEMORY, lambda measured: measured.peak_rss_mib),
)
"""Columns of the costs of a call; all but the first are left out if no run has them."""


def _of_performance(value: Callable[[Performance], Value]) -> Callable[[Result], Value]:
    return lambda run: value(run.performance) if run.performance else None


def _ratio_columns(rates: Mapping[str, Column]) -> Iterator[Column]:
    for title, above, below in RATIOS:
        if above in rates and below in rates:
            numerator, denominator = rates[above], rates[below]
            ratios = tuple(ratio(*pair) for pair in zip(numerator.values, denominator.values, strict=True))
            notes = tuple(
                tuple(sorted({*first, *second})) if value is not None else ()
                for value, first, second in zip(ratios, numerator.notes, denominator.notes, strict=True)
            )
            yield Column(
                title=title, kind=RATIO, values=ratios, notes=notes, best=ratio(numerator.best, denominator.best)
            )


def _soc_rates(setups: Sequence[_Setup], batches: Sequence[int], footnotes: _Footnotes) -> dict[str, Column]:
    """Return the throughputs of each SoC: in each row the best of its tools, valid measurements first."""
    columns: dict[str, Column] = {}
    for soc in dict.fromkeys(setup.soc for setup in setups):
        of_soc = [setup for setup in setups if setup.soc == soc and not setup.includes_copies]
        runs: dict[int, Result] = {}
        measured = (pair for setup in of_soc for pair in setup.runs.items())
        for row, run in (pair for pair in measured if pair[1].samples_per_second is not None):
            runs[row] = max(runs.get(row, run), run, key=_worth)
        if runs:
            columns[soc] = _rate_column(soc, batches, runs, _largest(map(_best, of_soc)), footnotes)
    return columns


def _worth(run: Result) -> tuple[bool, float]:
    rate = run.samples_per_second
    return _valid_rate(run) is not None, rate if rate is not None and math.isfinite(rate) else 0.0


def _rate_column(
    title: str, batches: Sequence[int], runs: Mapping[int, Result], best: Value, footnotes: _Footnotes
) -> Column:
    column = _column(
        title,
        RATE,
        batches,
        runs,
        lambda run: run.samples_per_second,
        lambda run: footnotes.indices(_performance_notes(run)),
    )
    return replace(column, best=best)


def _column(
    title: str,
    kind: str,
    batches: Sequence[int],
    runs: Mapping[int, Result],
    value: Callable[[Result], Value],
    notes: Callable[[Result], tuple[int, ...]] = lambda _: (),
) -> Column:
    return Column(
        title=title,
        kind=kind,
        values=tuple(value(runs[row]) if row in runs else None for row in range(len(batches))),
        notes=tuple(notes(runs[row]) if row in runs else () for row in range(len(batches))),
    )


def _accuracy_notes(run: Result) -> Iterator[str]:
    skipped = [gate.reason for gate in run.gates if gate.name.split(".")[0] == "accuracy" and gate.verdict == "skip"]
    random = ["random weights"] if run.weights_origin == "random" else []
    told = [*random, *([run.stand_in] if run.stand_in else [])]
    reasons = dict.fromkeys(filter(None, [*told, *(part for reason in skipped for part in reason.split("; "))]))
    if list(reasons) == [gates.NOT_PUBLISHED]:
        yield gates.NOT_PUBLISHED
    elif reasons:
        yield f"not compared with what is published: {'; '.join(reasons)}"
    if run.limit is not None:
        yield f"run with limit={run.limit}"
    yield from (_failed_in_words(run, gate) for gate in run.failed_gates if not gate.name.startswith("throughput"))


def _failed_in_words(run: Result, gate: Gate) -> str:
    return f"gate failed: {values.of_gate(gate, run.meaning(gate.name.removeprefix('accuracy.')))}"


def _elsewhere_notes(run: Result, gate_name: str) -> Iterator[str]:
    gate = _expected(run, gate_name)
    if gate.expected_for:
        yield f"published for {gate.expected_for}"


def _performance_notes(run: Result) -> Iterator[str]:
    if run.performance and run.performance.gears:
        yield f"one compiled model serves {', '.join(run.performance.gears)}"
    if run.includes_copies:
        yield "latencies include the copies between host and device, unlike published ones"
    if run.performance and not run.performance.valid:
        yield f"not a valid measurement: {'; '.join(run.performance.reasons) or 'no reason is given'}"
    if run.performance and run.weights_origin == "random" and not run.figures:
        yield "measured with random weights"
    yield from (_failed_in_words(run, gate) for gate in run.failed_gates if gate.name.startswith("throughput"))


def _expected(run: Result, gate_name: str) -> Gate:
    """Return the gate of a name; one without numbers if the run has none."""
    return next((gate for gate in run.gates if gate.name == gate_name), Gate(name=gate_name, verdict="skip"))


def _published_rates(
    title: str, rows: Sequence[PublishedConfig], soc: str, batches: Sequence[int], footnotes: _Footnotes
) -> Column:
    """Return the published throughputs of a SoC; evident misprints are marked, and never the best."""
    of_soc = {row.batch: row for row in rows if row.soc == soc and row.samples_per_second is not None}
    notes = {
        batch: footnotes.indices([f"a misprint in its source: {row.misprint}"])
        for batch, row in of_soc.items()
        if row.misprint and batch in batches
    }
    return Column(
        title=title,
        kind=RATE,
        values=tuple(of_soc[batch].samples_per_second if batch in of_soc else None for batch in batches),
        notes=tuple(notes.get(batch, ()) for batch in batches),
        best=_largest(of_soc[batch].samples_per_second for batch in batches if batch in of_soc and batch not in notes),
    )


def _valid_rate(run: Result) -> Value:
    return run.samples_per_second if run.performance and run.performance.valid else None


def _best(setup: _Setup) -> Value:
    """Return the largest valid throughput."""
    return _largest([_valid_rate(run) for run in setup.runs.values()])


def _best_rows(setups: Sequence[_Setup]) -> Iterator[tuple[str, int | None]]:
    for setup in setups:
        if any(run.performance for run in setup.runs.values()):
            best = _best(setup)
            counting = (row for row, run in setup.runs.items() if best is not None and _valid_rate(run) == best)
            yield setup.label, next(counting, None)


def _largest(values: Iterable[Value]) -> Value:
    return max((value for value in values if value is not None and math.isfinite(value)), default=None)


def _is_performance(column: Column) -> bool:
    return column.kind in (RATE, RATIO, MILLISECONDS, MEMORY)

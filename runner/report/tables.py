"""Results -> tables: batch by accuracy, throughput and ratios, with the published figures beside them. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from runner.gates import NO_PERCENTAGES, Gate
from runner.report import results as reading
from runner.report.published import Published
from runner.report.results import Result
from runner.schema import PublishedConfig

RATIOS = (("310P/310", "310P3", "310"), ("310P/T4", "310P3", "t4"))
"""The guides' columns: title, SoC above, SoC below."""
BEST = "best batch"

Kind = Literal["percent", "rate", "milliseconds", "ratio", "unitless", "count"]
Value = float | None
UNITS: Mapping[Kind, str] = {"percent": "%", "rate": "samples/s", "milliseconds": "ms"}


@dataclass(frozen=True)
class Column:
    """`values` has one number a row, None where there is none; `notes` the indices of each value's footnotes.

    `best` is the number of the best-batch row.
    """

    title: str
    kind: Kind
    values: tuple[Value, ...]
    notes: tuple[tuple[int, ...], ...]
    best: Value = None

    @property
    def unit(self) -> str:
        """Empty for a number without one."""
        return UNITS.get(self.kind, "")

    @property
    def heading(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True)
class Table:
    """One row a batch size, and the row of the best batch.

    `best_batches` says, for each column of measured throughputs, which batch size is best; None where no measurement
    counts.
    """

    model: str
    title: str
    batches: tuple[int, ...]
    columns: tuple[Column, ...]
    footnotes: tuple[str, ...]
    best_batches: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True)
class Section:
    """A table and the runs that it shows."""

    table: Table
    runs: tuple[Result, ...]


@dataclass(frozen=True)
class _Setup:
    """The runs of one SoC and tool, by batch size."""

    label: str
    soc: str
    runs: Mapping[int, Result]


def told_weights(origin: str) -> str:
    """The origin of weights, in words."""
    return {"random": "random weights", "file": "weights from a file", "url": "published weights"}.get(
        origin, origin or "no weights"
    )


def ratio(above: Value, below: Value) -> Value:
    """above / below; None where either is missing or no number, or below is zero or less."""
    if above is None or below is None or not math.isfinite(above) or not math.isfinite(below) or below <= 0:
        return None
    quotient = above / below
    return quotient if math.isfinite(quotient) else None


def text(value: Value, kind: Kind) -> str:
    """A number as a person reads it, without its unit; blank where there is none, `NaN` where it is no number."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{value}"
    if kind == "rate":
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"
    formats: Mapping[Kind, str] = {"percent": ".2f", "milliseconds": ".3f", "ratio": ".2f", "unitless": ".4g"}
    return format(value, formats.get(kind, ".0f"))


def metric_kind(name: str) -> Kind:
    """How a metric is written."""
    return "unitless" if name in NO_PERCENTAGES else "percent"


def sections(results: Iterable[Result], published: Published) -> list[Section]:
    """The newest results, one table for each model, data set and origin of weights: figures that can be compared."""

    def comparable(result: Result) -> tuple[str, str, str]:
        return result.model, result.dataset, result.weights_origin

    ordered = sorted(reading.newest(results), key=comparable)
    grouped = [(model, tuple(group)) for (model, _, _), group in groupby(ordered, key=comparable)]
    return [Section(_table(runs, published.get(model, ())), runs) for model, runs in grouped]


def accuracy_part(table: Table) -> Table:
    """The columns of the guides' table of accuracy."""
    return replace(table, columns=tuple(column for column in table.columns if not _is_performance(column)))


def performance_part(table: Table) -> Table:
    """The columns of the guides' table of performance."""
    return replace(table, columns=tuple(column for column in table.columns if _is_performance(column)))


def published_table(model: str, rows: Sequence[PublishedConfig]) -> Table:
    """The published figures alone: each SoC's accuracy and throughput, and the ratios."""
    batches = tuple(sorted({row.batch for row in rows}))
    socs = sorted({row.soc for row in rows})
    blank: tuple[tuple[int, ...], ...] = ((),) * len(batches)
    columns = []
    for soc in socs:
        of_soc = {row.batch: row for row in rows if row.soc == soc}
        for name in dict.fromkeys(name for row in of_soc.values() for name in row.accuracy):
            values = tuple(of_soc[batch].accuracy.get(name) if batch in of_soc else None for batch in batches)
            columns.append(Column(f"{soc} {name}", metric_kind(name), values, blank))
    rates = {soc: _published_rates(rows, soc, batches) for soc in socs}
    throughputs = {soc: Column(soc, "rate", rates[soc], blank, _largest(rates[soc])) for soc in socs}
    columns += [*throughputs.values(), *_ratio_columns(throughputs)]
    return Table(model, f"{model} (published)", batches, tuple(columns), ())


def cell(column: Column, index: int) -> str:
    """The number of a row and the marks of its footnotes: `12.50 [1]`; a mark stands alone where there is no number."""
    marks = "".join(f"[{note + 1}]" for note in column.notes[index])
    return " ".join(part for part in (text(column.values[index], column.kind), marks) if part)


def told_best(table: Table) -> str:
    """Which batch size is best on each SoC: `310P3 32, t4 64`."""
    return ", ".join(f"{label} {batch or 'none, as no measurement is valid'}" for label, batch in table.best_batches)


def named(result: Result) -> str:
    """A run in words."""
    if not result.model:
        return result.path
    return f"{result.model} on {result.soc} with {result.tool}, batch {result.batch}, {result.dataset}"


def told_error(result: Result) -> str:
    """The stage that failed and its first line."""
    if result.error is None:
        return "no reason is given"
    return f"{result.error.stage}: {(result.error.message.splitlines() or [''])[0]}"


class _Footnotes:
    """Footnotes in the order in which they come up, each once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def indices(self, notes: Iterable[str]) -> tuple[int, ...]:
        found = []
        for note in notes:
            if note not in self.texts:
                self.texts.append(note)
            found.append(self.texts.index(note))
        return tuple(found)


def _table(runs: Sequence[Result], published: Sequence[PublishedConfig]) -> Table:
    batches = tuple(sorted({run.batch for run in runs}))
    setups = _setups(runs)
    footnotes = _Footnotes()
    columns = [column for setup in setups for column in _accuracy_columns(setup, batches, len(setups) > 1, footnotes)]
    for setup in setups:
        columns += _performance_columns(setup, batches, published, footnotes)
    columns += _ratio_columns(_soc_rates(setups, batches, footnotes))
    first = runs[0]
    return Table(
        first.model,
        f"{first.model} ({first.dataset}, {told_weights(first.weights_origin)})",
        batches,
        tuple(columns),
        tuple(footnotes.texts),
        tuple(_best_batches(setups)),
    )


def _setups(runs: Sequence[Result]) -> list[_Setup]:
    pairs = sorted({(run.soc, run.tool) for run in runs})
    socs = [soc for soc, _ in pairs]
    return [
        _Setup(
            soc if socs.count(soc) == 1 else f"{soc} {tool}",
            soc,
            {run.batch: run for run in runs if (run.soc, run.tool) == (soc, tool)},
        )
        for soc, tool in pairs
    ]


def _accuracy_columns(setup: _Setup, batches: Sequence[int], prefixed: bool, footnotes: _Footnotes) -> Iterator[Column]:
    prefix = f"{setup.label} " if prefixed else ""
    for name in dict.fromkeys(name for run in setup.runs.values() for name in run.metrics):
        yield _column(
            f"{prefix}{name}",
            metric_kind(name),
            batches,
            setup.runs,
            lambda run, name=name: run.metrics.get(name),  # type: ignore[misc]
            lambda run: footnotes.indices(_accuracy_notes(run)) if run.metrics else (),
        )
        expected = _column(
            f"{prefix}published {name}",
            metric_kind(name),
            batches,
            setup.runs,
            lambda run, name=name: _expected(run, f"accuracy.{name}"),  # type: ignore[misc]
        )
        if any(value is not None for value in expected.values):
            yield expected


def _performance_columns(
    setup: _Setup, batches: Sequence[int], published: Sequence[PublishedConfig], footnotes: _Footnotes
) -> Iterator[Column]:
    if all(run.performance is None for run in setup.runs.values()):
        return
    measured = _rate_column(setup.label, batches, setup.runs, _best(setup), footnotes)
    yield measured
    rates = _published_rates(published, setup.soc, batches)
    if any(rate is not None for rate in rates):
        blank = tuple(() for _ in batches)
        best = _largest(rates)
        yield Column(f"{setup.label} published", "rate", rates, blank, best)
        ratios = tuple(ratio(above, below) for above, below in zip(measured.values, rates, strict=True))
        yield Column(f"{setup.label} measured/published", "ratio", ratios, blank, ratio(measured.best, best))
    yield _column(
        f"{setup.label} mean latency",
        "milliseconds",
        batches,
        setup.runs,
        lambda run: run.performance.latency_ms.mean if run.performance else None,
    )


def _ratio_columns(rates: Mapping[str, Column]) -> Iterator[Column]:
    for title, above, below in RATIOS:
        if above in rates and below in rates:
            one, other = rates[above], rates[below]
            values = tuple(ratio(*pair) for pair in zip(one.values, other.values, strict=True))
            notes = tuple(
                tuple(sorted({*first, *second})) if value is not None else ()
                for value, first, second in zip(values, one.notes, other.notes, strict=True)
            )
            yield Column(title, "ratio", values, notes, ratio(one.best, other.best))


def _soc_rates(setups: Sequence[_Setup], batches: Sequence[int], footnotes: _Footnotes) -> dict[str, Column]:
    """The throughputs of each SoC: at each batch size the best of its tools, those that count before the others."""
    columns: dict[str, Column] = {}
    for soc in dict.fromkeys(setup.soc for setup in setups):
        of_soc = [setup for setup in setups if setup.soc == soc]
        runs: dict[int, Result] = {}
        for run in (run for setup in of_soc for run in setup.runs.values() if run.samples_per_second is not None):
            runs[run.batch] = max(runs.get(run.batch, run), run, key=_worth)
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
        "rate",
        batches,
        runs,
        lambda run: run.samples_per_second,
        lambda run: footnotes.indices(_performance_notes(run)),
    )
    return replace(column, best=best)


def _column(
    title: str,
    kind: Kind,
    batches: Sequence[int],
    runs: Mapping[int, Result],
    value: Callable[[Result], Value],
    notes: Callable[[Result], tuple[int, ...]] = lambda _: (),
) -> Column:
    return Column(
        title,
        kind,
        tuple(value(runs[batch]) if batch in runs else None for batch in batches),
        tuple(notes(runs[batch]) if batch in runs else () for batch in batches),
    )


def _accuracy_notes(run: Result) -> Iterator[str]:
    accuracy = [gate for gate in run.gates if gate.name.split(".")[0] == "accuracy"]
    reasons = [gate.reason for gate in accuracy if gate.verdict == "skip" and gate.reason]
    if run.weights_origin == "random" and not any("random weights" in reason for reason in reasons):
        reasons.insert(0, "random weights")
    if run.stand_in and run.stand_in not in reasons:
        reasons.append(run.stand_in)
    yield from dict.fromkeys(f"not compared with what is published: {reason}" for reason in reasons)
    if run.limit is not None:
        yield f"run with limit={run.limit}"
    yield from (_told_failed(gate) for gate in run.failed_gates if not gate.name.startswith("throughput"))


def _told_failed(gate: Gate) -> str:
    measured = "nothing measured" if gate.measured is None else f"{gate.measured:.6g}"
    expected = "" if gate.expected is None else f", expected {gate.expected:.6g}"
    return f"gate {gate.name} failed: {measured}{expected}"


def _performance_notes(run: Result) -> Iterator[str]:
    if run.performance and not run.performance.valid:
        yield f"not a valid measurement: {'; '.join(run.performance.reasons) or 'no reason is given'}"
    if run.performance and run.weights_origin == "random" and not run.metrics:
        yield "measured with random weights"
    yield from (_told_failed(gate) for gate in run.failed_gates if gate.name.startswith("throughput"))


def _expected(run: Result, gate_name: str) -> Value:
    return next((gate.expected for gate in run.gates if gate.name == gate_name), None)


def _published_rates(rows: Sequence[PublishedConfig], soc: str, batches: Sequence[int]) -> tuple[Value, ...]:
    rates = {row.batch: row.samples_per_second for row in rows if row.soc == soc}
    return tuple(rates.get(batch) for batch in batches)


def _valid_rate(run: Result) -> Value:
    return run.samples_per_second if run.performance and run.performance.valid else None


def _best(setup: _Setup) -> Value:
    """The largest throughput that counts."""
    return _largest([_valid_rate(run) for run in setup.runs.values()])


def _best_batches(setups: Sequence[_Setup]) -> Iterator[tuple[str, int | None]]:
    for setup in setups:
        if any(run.performance for run in setup.runs.values()):
            best = _best(setup)
            counting = (batch for batch, run in setup.runs.items() if best is not None and _valid_rate(run) == best)
            yield setup.label, next(counting, None)


def _largest(values: Iterable[Value]) -> Value:
    return max((value for value in values if value is not None and math.isfinite(value)), default=None)


def _is_performance(column: Column) -> bool:
    return column.kind in ("rate", "ratio", "milliseconds")

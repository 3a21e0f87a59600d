"""The columns of a report's tables: accuracy, throughput, its ratios, costs, and the published figures. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from runner.config.schema import PublishedConfig
from runner.report.footnotes import (
    Footnotes,
    accuracy_notes,
    elsewhere_notes,
    expected_gate,
    performance_notes,
    subset_notes,
)
from runner.results import Meaning, Performance, Result, values
from runner.results.published import chips_of

RATIOS = (("310P/310", "310P3", "310"), ("310P/T4", "310P3", "t4"))
"""The ratio columns of the published guides: title, SoC of the numerator, SoC of the denominator."""
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


@dataclass(frozen=True)
class Setup:
    """The runs of one SoC and tool, by the index of their row."""

    label: str
    soc: str
    runs: Mapping[int, Result]

    @property
    def includes_copies(self) -> bool:
        return any(run.includes_copies for run in self.runs.values())


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


def cell(column: Column, index: int) -> str:
    """Format a value with its footnote marks, as in `12.50 [1]`; a missing value leaves the marks alone."""
    marks = "".join(f"[{note + 1}]" for note in column.notes[index])
    return " ".join(filter(None, (text(column.values[index], column.kind), marks)))


def meanings(results: Iterable[Result]) -> dict[str, Meaning]:
    """Return the meanings of the metrics of these results, by name."""
    return {name: meaning for result in results for name, meaning in result.metrics.items()}


def with_chips(soc: str) -> str:
    """Name a SoC; one with several chips a card, for which figures are a card's, says so."""
    chips = chips_of(soc)
    return soc if chips == 1 else f"{soc} ({chips} chips)"


def accuracy_columns(setup: Setup, batches: Sequence[int], prefixed: bool, footnotes: Footnotes) -> Iterator[Column]:
    """Yield each metric, beside what is published and what the reference's outputs give, where these say more."""
    units = {name: meaning.unit for name, meaning in meanings(setup.runs.values()).items()}
    for name in dict.fromkeys(name for run in setup.runs.values() for name in run.figures):
        for column in _metric_columns(setup, name, units.get(name, ""), batches, footnotes):
            yield replace(column, title=f"{setup.label} {column.title}") if prefixed else column


def _metric_columns(
    setup: Setup, name: str, unit: str, batches: Sequence[int], footnotes: Footnotes
) -> Iterator[Column]:
    gate_name = f"accuracy.{name}"
    yield _column(
        name,
        unit,
        batches,
        setup.runs,
        lambda run: run.figures.get(name),
        lambda run: footnotes.indices(accuracy_notes(run)) if run.figures else (),
    )
    expected = _column(
        f"published {name}",
        unit,
        batches,
        setup.runs,
        lambda run: expected_gate(run, gate_name).expected,
        lambda run: footnotes.indices(elsewhere_notes(run, gate_name)),
    )
    if any(value is not None for value in expected.values):
        yield expected
    if any(_differs(run, name, unit) for run in setup.runs.values()):
        yield _column(
            f"{name} by {_reference(setup)}",
            unit,
            batches,
            setup.runs,
            lambda run: _of_reference(run).get(name),
            lambda run: footnotes.indices(subset_notes(run, name, unit)),
        )


def _of_reference(run: Result) -> Mapping[str, float | None]:
    """Return the metrics of the reference's outputs; results of versions before 0.2 have none."""
    return run.fidelity.accuracy if run.fidelity else {}


def _reference(setup: Setup) -> str:
    return next(run.fidelity.reference for run in setup.runs.values() if run.fidelity)


def _differs(run: Result, name: str, unit: str) -> bool:
    """Return whether a metric of the reference's outputs differs from the tool's on the same samples, as shown."""
    compared = [each.get(name) for each in (run.fidelity.accuracy, run.fidelity.tool_accuracy)] if run.fidelity else []
    return len({text(value, unit) for value in compared}) > 1


def performance_columns(
    setup: Setup, batches: Sequence[int], published: Sequence[PublishedConfig], footnotes: Footnotes
) -> Iterator[Column]:
    """Yield the throughput, beside the published one, and what a call costs; nothing if no run was measured."""
    if all(run.performance is None for run in setup.runs.values()):
        return
    measured = _rate_column(setup.label, batches, setup.runs, best_rate(setup), footnotes)
    yield measured
    rates = published_rates(f"{setup.label} published", published, setup.soc, batches, footnotes)
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


def ratio_columns(rates: Mapping[str, Column]) -> Iterator[Column]:
    """Yield the ratios of the guides for which `rates` has both SoCs."""
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


def soc_rates(setups: Sequence[Setup], batches: Sequence[int], footnotes: Footnotes) -> dict[str, Column]:
    """Return the throughputs of each SoC: in each row the best of its tools, valid measurements first."""
    columns: dict[str, Column] = {}
    for soc in dict.fromkeys(setup.soc for setup in setups):
        of_soc = [setup for setup in setups if setup.soc == soc and not setup.includes_copies]
        runs: dict[int, Result] = {}
        measured = (pair for setup in of_soc for pair in setup.runs.items())
        for row, run in (pair for pair in measured if pair[1].samples_per_second is not None):
            runs[row] = max(runs.get(row, run), run, key=_worth)
        if runs:
            columns[soc] = _rate_column(soc, batches, runs, _largest(map(best_rate, of_soc)), footnotes)
    return columns


def _worth(run: Result) -> tuple[bool, float]:
    rate = run.samples_per_second
    return valid_rate(run) is not None, rate if rate is not None and math.isfinite(rate) else 0.0


def _rate_column(
    title: str, batches: Sequence[int], runs: Mapping[int, Result], best: Value, footnotes: Footnotes
) -> Column:
    column = _column(
        title,
        RATE,
        batches,
        runs,
        lambda run: run.samples_per_second,
        lambda run: footnotes.indices(performance_notes(run)),
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


def published_rates(
    title: str, rows: Sequence[PublishedConfig], soc: str, batches: Sequence[int], footnotes: Footnotes
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


def valid_rate(run: Result) -> Value:
    """Return the throughput; None if the measurement is not valid."""
    return run.samples_per_second if run.performance and run.performance.valid else None


def best_rate(setup: Setup) -> Value:
    """Return the largest valid throughput."""
    return _largest([valid_rate(run) for run in setup.runs.values()])


def _largest(values: Iterable[Value]) -> Value:
    return max((value for value in values if value is not None and math.isfinite(value)), default=None)


def is_performance(column: Column) -> bool:
    """Return whether a column is a throughput, a cost, or a ratio of them."""
    return column.kind in (RATE, RATIO, MILLISECONDS, MEMORY)

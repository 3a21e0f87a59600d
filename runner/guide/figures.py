"""The tables of a guide: what was measured on its SoC, and what is published. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from runner.config.schema import PublishedConfig
from runner.guide.wording import Words
from runner.report import columns
from runner.report.columns import Meanings
from runner.report.markdown import grid
from runner.results import Meaning, Result, values


def standing(results: Iterable[Result], soc: str, tool: str) -> list[Result]:
    """Return the results that a guide may show as measured, the newest of each batch size, in their order.

    Those are runs on the SoC with the tool, on all of the real data set with weights that are not random. Of a
    measurement that is not valid, or not made as the guides make theirs (a model for each batch size, without copies),
    only the accuracy is kept.
    """
    newest: dict[int, Result] = {}
    for result in sorted(results, key=lambda result: result.ended_at):
        is_whole = result.limit is None and result.stand_in is None and result.weights_origin not in ("", "random")
        if result.status == "ok" and (result.soc, result.tool) == (soc, tool) and is_whole:
            measured = result.performance
            stands = measured is not None and measured.valid and not measured.gears and not measured.includes_copies
            kept = result if stands else replace(result, performance=None)
            if kept.performance or kept.figures:
                newest[result.batch] = kept
    return [newest[batch] for batch in sorted(newest)]


def measured_performance(words: Words, measured: Sequence[Result], published: Sequence[PublishedConfig]) -> list[str]:
    """Return the table of throughput and latency beside the published throughput; nothing if none was measured."""
    timed = [(result, result.performance) for result in measured if result.performance]
    if not timed:
        return []
    rates = {row.batch: row.samples_per_second for row in published if row.soc == timed[0][0].soc and not row.misprint}
    rows = [
        (
            f"bs{result.batch}",
            _rate(performance.samples_per_second),
            _rate(rates.get(result.batch)),
            _ratio(performance.samples_per_second, rates.get(result.batch)),
            *(_milliseconds(each) for each in (performance.latency_ms.mean, performance.latency_ms.p99)),
        )
        for result, performance in timed
    ]
    best = max((performance.samples_per_second or 0.0 for _, performance in timed))
    best_published = max((rate for rate in rates.values() if rate is not None), default=None)
    rows.append((words["best"], _rate(best), _rate(best_published), _ratio(best, best_published), "", ""))
    titles = ("measured", "published", "ratio", "mean_latency", "p99_latency")
    return _table([words["throughput"], *(words[title] for title in titles)], rows)


def measured_accuracy(words: Words, measured: Sequence[Result], meanings: Meanings) -> list[str]:
    """Return the table of each metric beside the published one, and the verdict; nothing if nothing was scored."""
    scored = [result for result in measured if result.figures]
    names = list(dict.fromkeys(name for result in scored for name in result.figures))
    if not names:
        return []
    headings = [words["batch_size"]]
    for name in names:
        headings += [_heading(name, meanings), words["published_metric"].format(name=name)]
    rows = []
    for result in scored:
        gates = {
            gate.name.removeprefix("accuracy."): gate for gate in result.gates if gate.name.startswith("accuracy.")
        }
        row = [f"bs{result.batch}"]
        for name in names:
            expected = gates[name].expected if name in gates else None
            row += [_value(result.figures.get(name), name, meanings), _value(expected, name, meanings)]
        verdicts = {gate.verdict for gate in gates.values()}
        verdict = next((verdict for verdict in ("fail", "pass") if verdict in verdicts), "skip")
        rows.append((*row, words[f"verdict_{verdict}"]))
    return _table([*headings, words["verdict"]], rows)


def published_performance(words: Words, published: Sequence[PublishedConfig]) -> list[str]:
    """Return the table of published throughputs by SoC, with the ratios that the public guides tell."""
    rows_with = [row for row in published if row.samples_per_second is not None]
    batches, socs = sorted({row.batch for row in rows_with}), sorted({row.soc for row in rows_with})
    rates = {(row.soc, row.batch): row.samples_per_second for row in rows_with}
    believed = {(row.soc, row.batch): row.samples_per_second for row in rows_with if not row.misprint}
    marks = {(row.soc, row.batch): words["misprint_mark"] for row in rows_with if row.misprint}
    sound = [row for row in rows_with if not row.misprint]
    best = {soc: max((row.samples_per_second or 0.0 for row in sound if row.soc == soc), default=None) for soc in socs}
    ratios = [ratio for ratio in columns.RATIOS if {ratio[1], ratio[2]} <= set(socs)]
    rows = [
        (
            f"bs{batch}",
            *(_rate(rates.get((soc, batch))) + marks.get((soc, batch), "") for soc in socs),
            *(_ratio(believed.get((above, batch)), believed.get((below, batch))) for _, above, below in ratios),
        )
        for batch in batches
    ]
    if len(batches) > 1:
        of_best = (_ratio(best[above], best[below]) for _, above, below in ratios)
        rows.append((words["best"], *(_rate(best[soc]) for soc in socs), *of_best))
    return _table([words["throughput"], *socs, *(title for title, _, _ in ratios)], rows)


def published_accuracy(words: Words, published: Sequence[PublishedConfig], meanings: Meanings) -> list[str]:
    """Return the table of the rows that publish an accuracy."""
    with_accuracy = [row for row in published if row.accuracy]
    names = list(dict.fromkeys(name for row in with_accuracy for name in row.accuracy))
    rows = [
        (row.soc, f"bs{row.batch}", *(_value(row.accuracy.get(name), name, meanings) for name in names))
        for row in with_accuracy
    ]
    headings = [words["soc"], words["batch_size"], *(_heading(name, meanings) for name in names)]
    return _table(headings, rows)


def without_empty(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Return the headings and the rows of a table without the columns in which all rows are empty."""
    kept = [index for index in range(len(headings)) if any(row[index] for row in rows)]
    return [headings[index] for index in kept], [[row[index] for index in kept] for row in rows]


def _heading(name: str, meanings: Meanings) -> str:
    sign = values.sign(meanings.get(name, Meaning()).unit)
    return f"{name} ({sign})" if sign else name


def _value(value: float | None, name: str, meanings: Meanings) -> str:
    return "" if value is None else values.number(value, meanings.get(name, Meaning()).unit)


def _rate(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.2f}"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _ratio(above: float | None, below: float | None) -> str:
    ratio = columns.ratio(above, below)
    return "" if ratio is None else f"{ratio:.2f}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table without its empty columns; none if it has no row."""
    return grid(*without_empty(headings, rows)) if rows else []

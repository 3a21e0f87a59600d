"""The report as one self-contained HTML page: no scripts, no other files, no network. Pure."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from runner.report import charts, columns, failures, history, tables
from runner.report.charts import Line, Point, Style
from runner.report.columns import Column
from runner.report.contents import Contents
from runner.report.failures import FailedRun
from runner.report.history import History
from runner.report.html_text import escaped
from runner.report.markdown import environment_line
from runner.report.previews import Preview
from runner.report.rows import differing, in_words
from runner.report.tables import Section, Table
from runner.results import Account, Gate, Latency, Meaning, Result, identity, values
from runner.results.published import Published

VERDICTS = {"pass": "✓ pass", "fail": "✗ fail", "skip": "○ skip"}
STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #596575; --page: #fff; --card: #f5f7fa; --rule: #d8dee6;
  --pass: #0f6b35; --pass-bg: #dcf3e4; --fail: #a3181e; --fail-bg: #fde2e2; --skip: #5c5200; --skip-bg: #f6efc9;
  --c0: #1f5fbf; --c1: #b4530a; --c2: #0f7b55; --c3: #8a3fb0; --c4: #b3254f; --c5: #5a6a00; --c6: #007a8a;
  --c7: #6b4a2f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f0; --soft: #a2adbb; --page: #12161c; --card: #1b2129;
  --rule: #35404d; --pass: #8fe0ae; --pass-bg: #11331f; --fail: #ffb0b0; --fail-bg: #45171a; --skip: #ead98a;
  --skip-bg: #363012; --c0: #7fb0ff; --c1: #ffb070; --c2: #6fd8ae; --c3: #d3a0f0; --c4: #ff93b0; --c5: #ccdc66;
  --c6: #6fd6e4; --c7: #d6b08c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; } h3 { font-size: 1.05rem; }
nav ul, .notes, .legend { padding: 0; list-style: none; } nav li { display: inline-block; margin-right: 1rem; }
a { color: var(--c0); }
.wide { overflow-x: auto; -webkit-overflow-scrolling: touch; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; } thead th { white-space: normal; min-width: 4.5rem; }
th:first-child, td:first-child, .words td, .words th, td.key, th.key { text-align: left; }
th:first-child { position: sticky; left: 0; background: var(--page); min-width: 0; }
tr.best > * { font-weight: 700; border-top: 2px solid var(--soft); }
.unit, .mark, .notes, figcaption { color: var(--soft); font-size: .85rem; font-weight: 400; }
.unit { display: block; } .words td { white-space: normal; min-width: 6rem; }
.verdict { display: inline-block; padding: 0 .5rem; border-radius: .3rem; font-weight: 600; white-space: nowrap; }
.pass { color: var(--pass); background: var(--pass-bg); } .fail { color: var(--fail); background: var(--fail-bg); }
.skip { color: var(--skip); background: var(--skip-bg); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .75rem; background: var(--card); border-radius: .5rem; min-width: 0; }
figure > svg { width: 100%; height: auto; display: block; } .key { width: 28px; height: 8px; margin-right: .4rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .3rem 0 0; font-size: .85rem; }
.axis { fill: var(--soft); font-size: 13px; } .rule { stroke: var(--rule); stroke-width: 1; }
polyline { fill: none; stroke: currentColor; stroke-width: 2; } circle { fill: currentColor; }
circle.hollow { fill: var(--card); stroke: currentColor; stroke-width: 1.5; }
.dotted polyline { stroke-dasharray: 1.5 3.5; }
.dashed polyline { stroke-dasharray: 6 4; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
.c4 { color: var(--c4); } .c5 { color: var(--c5); } .c6 { color: var(--c6); } .c7 { color: var(--c7); }
details img { display: block; max-width: 100%; height: auto; margin-top: .5rem; border-radius: .5rem; }
details { margin: .75rem 0; } summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; padding: .75rem; background: var(--card); border-radius: .5rem; font-size: .85rem; }
"""


def page(contents: Contents, previews: Mapping[str, Preview], folder: Path) -> str:
    """Return the whole page. All text from results is escaped; `previews` are by the path of the result.

    Logs in or below `folder`, where the page will lie, are linked to.
    """
    histories = history.histories(contents.results)
    body = ["<h1>Measured results</h1>", f"<p>{escaped(contents.overview)}.</p>", *_contents_list(contents)]
    body += _failures(contents.failed, folder)
    body += _sweeps(contents.sweeps)
    for index, section in enumerate(contents.sections):
        repeated = histories.get(tables.comparable(section.runs[0]), [])
        body += _section(index, section, contents.published, previews, repeated)
    body += _named_list(
        "Files that are not in this report", [(skipped.path, skipped.reason) for skipped in contents.skipped]
    )
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            '<head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<title>Measured results</title>",
            f"<style>{STYLE}</style></head>",
            "<body>",
            *body,
            "</body></html>",
            "",
        ]
    )


def _contents_list(contents: Contents) -> Iterator[str]:
    places = [("failed", "Runs that failed")] if contents.failed else []
    places += [("sweeps", "Sweeps with jobs that are not done")] if contents.sweeps else []
    places += [(f"s{index}", section.table.title) for index, section in enumerate(contents.sections)]
    if len(places) > 1:
        links = "".join(f'<li><a href="#{place}">{escaped(title)}</a></li>' for place, title in places)
        yield f"<nav><ul>{links}</ul></nav>"


def _failures(failed: Sequence[FailedRun], folder: Path) -> Iterator[str]:
    if failed:
        rows = [
            [escaped(run.name), escaped(error.message), escaped(error.fix), _link(run.log, folder)]
            for run in failed
            for error in run.errors
        ]
        yield f'<section id="failed"><h2>Runs that failed</h2>{_words(["run", "error", "fix", "log"], rows)}</section>'


def _link(path: str, folder: Path) -> str:
    """Return a link from a page in a folder to a file in or below it; the path alone for one elsewhere."""
    inside = path and Path(path).is_relative_to(folder)
    shown = str(Path(path).relative_to(folder)) if inside else path
    return f'<a href="{quote(os.fsencode(shown))}">{escaped(shown)}</a>' if inside else escaped(shown)


def _sweeps(accounts: Sequence[Account]) -> Iterator[str]:
    if accounts:
        rows = [
            [
                escaped(account.folder),
                escaped(account.sweep.host),
                escaped(account.totals),
                "<br>".join(escaped(failures.job_in_words(job)) for job in account.missing),
            ]
            for account in accounts
        ]
        table = _words(["sweep", "host", "jobs", "missing"], rows)
        why = f"<p>Missing is what was {failures.WHY_MISSING}.</p>"
        yield f'<section id="sweeps"><h2>Sweeps with jobs that are not done</h2>{table}{why}</section>'


def _section(
    index: int,
    section: Section,
    published: Published,
    previews: Mapping[str, Preview],
    repeated: Sequence[History],
) -> Iterator[str]:
    yield f'<section id="s{index}"><h2>{escaped(section.table.title)}</h2>'
    for heading, table in (
        ("Performance", tables.performance_part(section.table)),
        ("Accuracy", tables.accuracy_part(section.table)),
    ):
        if table.columns:
            yield f"<h3>{heading}</h3>{_table(table)}"
    if section.table.best_rows:
        yield f"<p>Best batch: {escaped(tables.best_in_words(section.table))}.</p>"
    yield from _notes(section.table)
    yield f'<div class="charts">{_charts(section, published)}</div>'
    yield from _over_time(section, repeated)
    for run in section.runs:
        if run.path in previews:
            yield _preview(run, previews[run.path])
    yield from _operators(section.runs)
    yield from _gates(section.runs)
    yield from _published(section.table.model, published, section.runs)
    yield from _environment(section.runs)
    yield from _commands(section.runs)
    yield "</section>"


def _notes(table: Table) -> Iterator[str]:
    told = [*table.remarks, *(f"[{number}] {note}" for number, note in enumerate(table.footnotes, 1))]
    if told:
        yield f'<ul class="notes">{"".join(f"<li>{escaped(note)}</li>" for note in told)}</ul>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col" class="key">{escaped(key.title)}</th>' for key in table.keys)
    head += "".join(f'<th scope="col">{escaped(column.title)}{_unit(column)}</th>' for column in table.columns)
    rows = [
        f'<tr><th scope="row">{batch}</th>{_keys(table, index)}'
        f"{''.join(_cell(column, index) for column in table.columns)}</tr>"
        for index, batch in enumerate(table.batches)
    ]
    if table.has_best:
        best = "<td></td>" * len(table.keys)
        best += "".join(f"<td>{columns.text(column.best, column.kind)}</td>" for column in table.columns)
        rows.append(f'<tr class="best"><th scope="row">{tables.BEST}</th>{best}</tr>')
    return (
        f'<div class="wide"><table><thead><tr><th scope="col">batch</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _keys(table: Table, index: int) -> str:
    return "".join(f'<td class="key">{escaped(key.texts[index])}</td>' for key in table.keys)


def _unit(column: Column) -> str:
    return f'<span class="unit">{escaped(column.unit)}</span>' if column.unit else ""


def _cell(column: Column, index: int) -> str:
    marks = "".join(f"[{note + 1}]" for note in column.notes[index])
    marked = f' <span class="mark">{marks}</span>' if marks else ""
    return f"<td>{columns.text(column.values[index], column.kind)}{marked}</td>"


def _charts(section: Section, published: Published) -> str:
    groups = _lines_of(section)
    apart = {run.soc for run in section.runs if run.includes_copies}
    rows = [row for row in published.get(section.table.model, ()) if not row.misprint and row.soc not in apart]
    socs = dict.fromkeys([runs[0].soc for runs in groups.values()] + [row.soc for row in rows])
    # Jobs of one SoC have a colour each where something more than the batch size tells them apart.
    names = list(groups) if len(groups) > len(socs) else []
    colours = {name: index for index, name in enumerate([*names, *socs])}

    def measured(suffix: str, style: Style, value: Callable[[Result], float | None]) -> Iterator[Line]:
        for name, runs in groups.items():
            colour = colours.get(name, colours[runs[0].soc])
            valid, apart = _points(runs, value, valid=True), _points(runs, value, valid=False)
            yield Line(f"{name}{suffix}", valid, colour, style, apart)

    rates = [*measured("", "solid", lambda run: run.samples_per_second)]
    for soc in dict.fromkeys(row.soc for row in rows):
        points = [(r.batch, r.samples_per_second) for r in rows if r.soc == soc and r.samples_per_second is not None]
        rates.append(Line(f"{columns.with_chips(soc)} published", tuple(points), colours[soc], "dashed"))
    delays = [
        *measured(" mean", "solid", lambda run: _latency(run).mean),
        *measured(" p99", "dotted", lambda run: _latency(run).p99),
    ]
    return charts.chart("Throughput", "samples/s", rates) + charts.chart("Latency", "ms", delays)


def _lines_of(section: Section) -> dict[str, list[Result]]:
    """Return the runs of a SoC and tool that differ in nothing but their batch size, by a name."""
    groups: dict[str, list[Result]] = {}
    for soc, tool in dict.fromkeys((run.soc, run.tool) for run in section.runs):
        runs = [run for run in section.runs if (run.soc, run.tool) == (soc, tool)]
        keys = differing(runs)
        for index, run in enumerate(runs):
            name = ", ".join([f"{columns.with_chips(soc)} {tool}", *in_words(keys, index)])
            groups.setdefault(name, []).append(run)
    return groups


def _points(runs: Sequence[Result], value: Callable[[Result], float | None], valid: bool) -> tuple[Point, ...]:
    return tuple(
        (run.batch, number)
        for run in runs
        if (number := value(run)) is not None and (run.performance is None or run.performance.valid) is valid
    )


def _over_time(section: Section, repeated: Sequence[History]) -> Iterator[str]:
    """Yield the figures of jobs that ran more than once."""
    meanings = columns.meanings(section.runs)
    drawn = [charts.over_time("Throughput", "samples/s", history.throughput(repeated))]
    for name in dict.fromkeys(name for each in repeated for name in each.runs[-1].figures):
        unit = values.sign(meanings.get(name, Meaning()).unit)
        drawn.append(charts.over_time(name, unit, history.metric(repeated, name)))
    if any(drawn):
        more = f", the {charts.COLOURS} of them that ran most" if len(repeated) > charts.COLOURS else ""
        yield f"<h3>Over time</h3><p>Jobs that ran more than once{more}.</p>"
        yield f'<div class="charts">{"".join(drawn)}</div>'


def _latency(run: Result) -> Latency:
    return run.performance.latency_ms if run.performance else Latency()


def _preview(run: Result, preview: Preview) -> str:
    title = escaped(identity.named(run))
    if not preview.uri:
        return f"<p>Preview, {title}: {escaped(preview.path)} ({escaped(preview.reason)})</p>"
    size = f'width="{preview.width}" height="{preview.height}"'
    picture = f'<img src="{preview.uri}" {size} alt="Samples with the outputs of {escaped(identity.named(run))}">'
    return f"<details><summary>Preview, {title}</summary>{picture}</details>"


def _operators(runs: Sequence[Result]) -> Iterator[str]:
    """Yield the slowest operators of the runs that were profiled."""
    for run in runs:
        operators = run.performance.operators if run.performance else ()
        if operators:
            rows = [
                [escaped(each.name), escaped(each.type), f"{each.mean_ms:.3f}", f"{each.percent:.1f} %"]
                for each in operators
            ]
            table = _words(["operator", "type", "ms", "of all operators' time"], rows)
            yield f"<details><summary>Slowest operators, {escaped(identity.named(run))}</summary>{table}</details>"


def _gates(runs: Sequence[Result]) -> Iterator[str]:
    """Yield the gates of the runs, failed ones first; skipped ones are folded."""
    judged = [(run, gate) for run in runs for gate in run.gates]
    shown = sorted((pair for pair in judged if pair[1].verdict != "skip"), key=lambda pair: pair[1].verdict != "fail")
    skipped = [pair for pair in judged if pair[1].verdict == "skip"]
    if shown:
        yield f"<h3>Gates</h3>{_gate_table(shown)}"
    if skipped:
        yield f"<details><summary>Skipped gates: {len(skipped)}</summary>{_gate_table(skipped)}</details>"


def _gate_table(judged: Sequence[tuple[Result, Gate]]) -> str:
    rows = [
        [
            f'<span class="verdict {gate.verdict}">{VERDICTS[gate.verdict]}</span>',
            escaped(values.of_gate(gate, run.meaning_of(gate))),
            escaped(identity.named(run)),
            escaped(gate.source),
        ]
        for run, gate in judged
    ]
    return _words(["verdict", "gate", "run", "source"], rows)


def _words(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide words"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _published(model: str, published: Published, runs: Sequence[Result]) -> Iterator[str]:
    rows = published.get(model, ())
    if rows:
        sources = "".join(f"<li>{escaped(source)}</li>" for source in dict.fromkeys(row.source for row in rows))
        table = tables.published_table(model, rows, columns.meanings(runs))
        told = f'{_table(table)}{"".join(_notes(table))}<ul class="notes">{sources}</ul>'
        yield f"<details><summary>Published figures</summary>{told}</details>"


def _environment(runs: Sequence[Result]) -> Iterator[str]:
    items = "".join(f"<li>{escaped(line)}</li>" for line in dict.fromkeys(environment_line(run) for run in runs))
    yield f"<details><summary>Environment</summary><ul>{items}</ul></details>"


def _commands(runs: Sequence[Result]) -> Iterator[str]:
    blocks = []
    for run in runs:
        lines = "\n".join(f"# {command.stage}\n{shlex.join(command.argv)}" for command in run.commands)
        if lines:
            blocks.append(f"<p>{escaped(identity.named(run))}</p><pre><code>{escaped(lines)}</code></pre>")
    content = "".join(blocks) or "<p>No external program ran: every stage ran in the runner's own process.</p>"
    yield f"<details><summary>Commands</summary>{content}</details>"


def _named_list(title: str, items: Sequence[tuple[str, str]]) -> Iterator[str]:
    if items:
        lines = "".join(f"<li><strong>{escaped(name)}</strong>: {escaped(reason)}</li>" for name, reason in items)
        yield f"<section><h2>{title}</h2><ul>{lines}</ul></section>"

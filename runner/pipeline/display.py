"""Terminal output during a run (stderr) and at its end (stdout)."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TextIO

from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from runner import results
from runner.core import Advance, OperatorTime, shown_by, visible
from runner.core.terminal import Console
from runner.results import Gate, Result, WorstFidelity, published, values

log = logging.getLogger(__name__)
VERDICT_STYLES = {"pass": "green", "fail": "bold red", "skip": "yellow"}
LIVE_WIDTH_LEAST = 60
"""Narrower terminals show no progress bar."""


@cache
def _stderr() -> Console:
    return Console(stderr=True, soft_wrap=True)


def stage_done(name: str, status: str, seconds: float) -> None:
    """Print a line for a finished stage."""
    log.info("%s: %s in %.1f s", name, status, seconds)
    _stderr().print(f"{name:<10} {status:<8} {seconds:7.1f} s")


def news(text: str) -> None:
    """Print an informational line."""
    log.info(visible(text))
    _stderr().print(text)


def notice(text: str) -> None:
    """Print a warning."""
    log.warning(visible(text))
    _stderr().print(text, style="yellow")


def failure(text: str) -> None:
    """Print the error that ends a run."""
    log.error(visible(text))
    _stderr().print(f"error: {text}", style="red")


class Labelled(io.TextIOBase):
    """A text stream that writes to another one, with every line preceded by a label."""

    def __init__(self, stream: TextIO, label: str) -> None:
        self._stream = stream
        self._label = label
        self._is_at_start = True

    def write(self, text: str) -> int:
        """Write text; a line that is written in parts is labelled once."""
        lines = text.splitlines(keepends=True)
        labelled = [self._label + line for line in lines]
        if lines and not self._is_at_start:
            labelled[0] = lines[0]
        if lines:
            self._is_at_start = lines[-1].endswith("\n")
        self._stream.write("".join(labelled))  # at once, so that lines of other processes do not come between
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()


class Done(ProgressColumn):
    """A column with completed work, total and rate, in the unit of the work."""

    def render(self, task: Task) -> Text:
        unit = task.fields["unit"]
        total = "" if task.total is None else f"/{_amount(task.total, unit)}"
        rate = "" if task.speed is None else f" {_amount(task.speed, unit)}/s"
        return Text(f"{_amount(task.completed, unit)}{total} {unit if unit != 'B' else ''}{rate}")


def _amount(value: float, unit: str) -> str:
    if unit == "B":
        return decimal(int(value))
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


@contextmanager
def live() -> Iterator[None]:
    """Show tracked work as a live line with rate and time left; show nothing if stderr is not a terminal."""
    console = _stderr()
    if not console.is_terminal:
        yield
        return
    bar: Sequence[ProgressColumn] = [BarColumn(bar_width=24)] if console.width >= LIVE_WIDTH_LEAST else []
    columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False), *bar, Done(), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True) as progress:

        def start(description: str, total: float | None, unit: str) -> tuple[Advance, Callable[[], None]]:
            task = progress.add_task(description, total=total, unit=unit)
            return lambda done: progress.advance(task, done), lambda: progress.remove_task(task)

        with shown_by(start):
            yield


def summary(result: Result) -> None:
    """Print the table and the gates of a finished run."""
    console = Console(soft_wrap=True)
    title = f"{result.model} on {result.soc} with {result.tool}, batch {result.batch}"
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in _figures(result):
        table.add_row(name, value)
    console.print(table)
    if result.performance and result.performance.operators:
        console.print(_operators(result.performance.operators))
    for gate in result.gates:
        console.print(_gate_line(result, gate))


def _figures(result: Result) -> Iterator[tuple[str, str]]:
    weights, fidelity, performance = result.weights, result.fidelity, result.performance
    if weights:
        yield "weights", "random" if weights.origin == "random" else Path(weights.path).name
    yield "data set", result.dataset
    if not _compares(result):
        for name, value in result.figures.items():
            yield name, values.with_unit(value, result.meaning(name))
            if fidelity and name in fidelity.accuracy:
                yield from _of_reference(result, fidelity, name)
    if result.accuracy:
        yield "samples", f"{result.accuracy['samples']}"
    if fidelity:
        yield f"compared with {fidelity.reference}", f"{fidelity.samples} samples"
        yield from ((f"  {name}", value) for name, value in _closeness(result, fidelity))
    if performance:
        latency_ms = {name: getattr(performance.latency_ms, name) for name in ("mean", "p50", "p99")}
        known = {name: value for name, value in latency_ms.items() if value is not None}
        yield "throughput", f"{performance.samples_per_second:.1f} samples/s"
        yield f"latency {' / '.join(known)}", " / ".join(f"{value:.3f}" for value in known.values()) + " ms"
        if not performance.valid:
            yield "not a valid measurement", "; ".join(performance.reasons)


def _operators(operators: Sequence[OperatorTime]) -> Table:
    table = Table("slowest operator", "type", title="profile, made after the measurement", title_justify="left")
    for heading in ("ms", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in operators:
        table.add_row(each.name, each.type, f"{each.mean_ms:.3f}", f"{each.percent:.1f} %")
    return table


def _compares(result: Result) -> bool:
    """Return whether the data set's metrics compare with the reference's outputs, as there is no ground truth."""
    return result.fidelity is not None and not result.fidelity.accuracy


def _closeness(result: Result, fidelity: WorstFidelity) -> Iterator[tuple[str, str]]:
    """Yield what says how close the outputs are to the reference's: metrics that compare with it, and the fidelity."""
    told = result.figures if _compares(result) else {}
    yield from ((name, values.with_unit(value, result.meaning(name))) for name, value in told.items())
    if fidelity.top1_agreement is not None and not any(result.meaning(name).is_share for name in told):
        yield "agreement", f"{fidelity.top1_agreement:.2f} %"
    if fidelity.equal is not None:
        yield "equal elements", f"{fidelity.equal:.4f} %"
    if "cosine" not in told:
        yield "cosine", f"{fidelity.cosine:.8f}"
    yield "largest difference", f"{fidelity.max_abs:.2e}"


def _of_reference(result: Result, fidelity: WorstFidelity, name: str) -> Iterator[tuple[str, str]]:
    """Yield a metric of the reference's outputs, with the tool's on the same samples if it computed fewer."""
    meaning = result.meaning(name)
    shown = values.with_unit(fidelity.accuracy[name], meaning)
    if result.accuracy and fidelity.samples == result.accuracy["samples"]:
        yield f"  by {fidelity.reference}", shown
    else:
        same = values.with_unit(fidelity.tool_accuracy.get(name), meaning)
        yield f"  tool / {fidelity.reference}, {fidelity.samples} samples", f"{same} / {shown}"


def _gate_line(result: Result, gate: Gate) -> Text:
    told = values.of_gate(gate, result.meaning_of(gate))
    return Text.assemble((f"{gate.verdict:<4}", VERDICT_STYLES[gate.verdict]), f" {told}")


def plan_table(rows: Sequence[tuple[str, str, str]], commands: Sequence[str], problems: Sequence[str]) -> None:
    """Print a dry run: each stage and what would be done, the commands, and the problems that would stop it."""
    console = Console(soft_wrap=True)
    table = Table("stage", "would be", "key", title="plan", title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print("commands:" if commands else "commands: none, every stage runs in this process")
    for command in commands:
        console.print(command)
    for problem in problems:
        console.print(f"would stop: {problem}")


def sweep(paths: Sequence[Path]) -> None:
    """Print the failed jobs of a sweep, its tables, and how many jobs are done, failed or missing, from its files."""
    from runner.report import failures, tables, terminal

    found = results.find(paths)
    console = Console(soft_wrap=True)
    for job in results.failed(found.results):
        console.print(terminal.render_failed(failures.described(job)))
    shown = results.with_edits(results.newest(found.results))
    for section in tables.sections(shown, published.of_results(found.results)):
        console.print(terminal.render(section.table))
    for account in results.accounts(found):
        console.print(terminal.render_sweep(account))

"""What a person sees while a run goes on (stderr) and at its end (stdout)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
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

from runner.gates import NO_PERCENTAGES
from runner.progress import Advance, shown_by

log = logging.getLogger(__name__)
LIVE_WIDTH_LEAST = 60
"""Narrower terminals get no bar."""


@cache
def _stderr() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def stage_done(name: str, status: str, seconds: float) -> None:
    """One line a finished stage."""
    log.info("%s: %s in %.1f s", name, status, seconds)
    _stderr().print(f"{name:<10} {status:<8} {seconds:7.1f} s")


def told(text: str) -> None:
    """A line of plain news."""
    log.info(text)
    _stderr().print(text, markup=False)


def notice(text: str) -> None:
    """A line that a person should see."""
    log.warning(text)
    _stderr().print(text, style="yellow", markup=False)


def failure(text: str) -> None:
    """An error, as it ends a run."""
    log.error(text)
    _stderr().print(f"error: {text}", style="red", markup=False)


class Done(ProgressColumn):
    """How much of the work is done, of how much, and how fast, in the work's own unit."""

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
    """Show tracked work as a live line with its rate and the time left; nothing where stderr is no terminal."""
    console = _stderr()
    if not console.is_terminal:
        yield
        return
    bar: Sequence[ProgressColumn] = [BarColumn(bar_width=24)] if console.width >= LIVE_WIDTH_LEAST else []
    columns = [SpinnerColumn(), TextColumn("{task.description}"), *bar, Done(), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True) as progress:

        def start(description: str, total: float | None, unit: str) -> tuple[Advance, Callable[[], None]]:
            task = progress.add_task(description, total=total, unit=unit)
            return lambda done: progress.advance(task, done), lambda: progress.remove_task(task)

        with shown_by(start):
            yield


def summary(result: dict[str, Any]) -> None:
    """The short table of a finished run."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table(title=_title(result), title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in _figures(result):
        table.add_row(name, value)
    console.print(table)
    for gate in result["gates"]:
        console.print(_gate_line(gate), markup=False)


def _title(result: dict[str, Any]) -> str:
    return f"{result['model']} on {result['soc']} with {result['tool']}, batch {result['batch']}"


def _figures(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    weights = result["weights"]
    if weights:
        yield "weights", "random" if weights["origin"] == "random" else Path(weights["path"]).name
    yield "data set", result["dataset"]
    accuracy = result["accuracy"] or {}
    for name, value in accuracy.items():
        yield name, f"{value}" if name == "samples" else f"{value:.6g}" if name in NO_PERCENTAGES else f"{value:.2f} %"
    fidelity = result["fidelity"]
    if fidelity:
        if fidelity["top1_agreement"] is not None:
            yield "agreement with PyTorch", f"{fidelity['top1_agreement']:.2f} %"
        yield "cosine to PyTorch", f"{fidelity['cosine']:.8f}"
        yield "largest difference", f"{fidelity['max_abs']:.2e}"
    performance = result["performance"]
    if performance:
        latency_ms = performance["latency_ms"]
        yield "throughput", f"{performance['samples_per_second']:.1f} samples/s"
        told = [name for name in ("mean", "p50", "p99") if latency_ms[name] is not None]
        yield f"latency {' / '.join(told)}", " / ".join(f"{latency_ms[name]:.3f}" for name in told) + " ms"
        if not performance["valid"]:
            yield "not a valid measurement", "; ".join(performance["reasons"])


def _gate_line(gate: dict[str, Any]) -> str:
    numbers = ""
    if gate["measured"] is not None and gate["expected"] is not None:
        numbers = f" {gate['measured']:.6g}, expected {gate['expected']:.6g}"
    reason = f" ({gate['reason']})" if gate["reason"] else ""
    return f"{gate['verdict']:<4} {gate['name']}{numbers}{reason}"


def plan_table(rows: Sequence[tuple[str, str, str]], commands: Sequence[str], faults: Sequence[str]) -> None:
    """What a dry run prints: each stage and what would be done, the commands, and what would stop it."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table("stage", "would be", "key", title="plan", title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print("commands:" if commands else "commands: none, every stage runs in this process")
    for command in commands:
        console.print(command, markup=False)
    for fault in faults:
        console.print(f"would stop: {fault}", markup=False)


def sweep(paths: Sequence[Path]) -> None:
    """The table of a sweep's jobs, from their result.json files, and the jobs that failed."""
    from runner.report import published, results, terminal

    found = results.find(paths)
    models = published.of_results(found.results)
    Console(highlight=False, soft_wrap=True).print(terminal.render_sweep(found.results, models))

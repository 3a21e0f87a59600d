"""The figures of each job over time: the same overrides, weights and machine, whatever the versions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runner.core import seconds_since_epoch
from runner.report import columns, tables
from runner.report.charts import COLOURS, Line, Point
from runner.report.rows import differing, in_words
from runner.results import Result, identity

Comparable = tuple[str, str, str]
"""A model, a data set and the origin of weights."""


@dataclass(frozen=True)
class History:
    """The runs of one job in the order of time; `name` tells it from the others of a table."""

    name: str
    runs: tuple[Result, ...]


def histories(results: Iterable[Result]) -> dict[Comparable, list[History]]:
    """Return the jobs that ran more than once, those with the most runs first."""
    jobs: dict[tuple[tuple[str, str], ...], list[Result]] = {}
    for result in sorted(results, key=lambda result: result.ended_at):
        if result.status == "ok" and (result.accuracy is not None or result.performance is not None):
            jobs.setdefault(tuple(identity.job(result).items()), []).append(result)
    repeated: dict[Comparable, list[list[Result]]] = {}
    for runs in jobs.values():
        if len(runs) > 1:
            repeated.setdefault(tables.comparable(runs[-1]), []).append(runs)
    return {key: _named(groups) for key, groups in repeated.items()}


def throughput(histories: Sequence[History]) -> list[Line]:
    """Return the throughput of each job over time; a measurement that was reused is one point."""
    return [
        Line(each.name, _rates(each.runs, valid=True), colour, apart=_rates(each.runs, valid=False))
        for colour, each in enumerate(histories[:COLOURS])
    ]


def metric(histories: Sequence[History], name: str) -> list[Line]:
    """Return a metric of each job over time."""
    return [Line(each.name, _figures(each.runs, name), colour) for colour, each in enumerate(histories[:COLOURS])]


def _figures(runs: Iterable[Result], name: str) -> tuple[Point, ...]:
    return tuple((run.ended_at, value) for run in runs if (value := run.figures.get(name)) is not None)


def _rates(runs: Iterable[Result], valid: bool) -> tuple[Point, ...]:
    points: dict[Point, None] = {}
    for run in runs:
        if run.performance and run.performance.valid is valid and run.performance.samples_per_second is not None:
            points[_measured_at(run), run.performance.samples_per_second] = None
    return tuple(points)


def _measured_at(run: Result) -> float:
    """Return when a throughput was measured, or else when the run ended, in seconds since the epoch."""
    told = run.performance.measured_at if run.performance else None
    return run.ended_at if told is None else seconds_since_epoch(told)


def _named(groups: Sequence[Sequence[Result]]) -> list[History]:
    ordered = sorted(groups, key=lambda runs: -len(runs))
    keys = differing([runs[-1] for runs in ordered])
    return [
        History(", ".join([_shortly(runs[-1]), *in_words(keys, index)]), tuple(runs))
        for index, runs in enumerate(ordered)
    ]


def _shortly(run: Result) -> str:
    return f"{columns.with_chips(run.soc)} {run.tool} batch {run.batch}"

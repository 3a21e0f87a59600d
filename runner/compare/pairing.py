"""Choose which runs are compared with which. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from runner import results
from runner.results import Result, identity

MACHINE = ("devices", "chips", "host", "cpu")
"""What tells jobs apart (runner.results.identity) by the machine; its differences are told beside the changes."""


def job(run: Result) -> Hashable:
    """Return what a run measured: of the weights only whether they were random, so that better ones are compared."""
    settings = identity.job(run) | {"weights": str(run.weights_origin == "random")}
    return tuple(item for item in settings.items() if item[0] not in MACHINE and not item[0].startswith("gates."))


@dataclass(frozen=True)
class Pair:
    """A run, and the earlier one that it is compared with, if there is one."""

    baseline: Result | None
    new: Result


def newest_of_each_job(runs: Iterable[Result]) -> list[Result]:
    """Return the newest successful run of each job, and the runs that failed and were not repaired since."""
    runs = sorted(runs, key=lambda run: run.ended_at)
    newest = {job(run): run for run in runs if run.status == "ok"}
    return sorted([*newest.values(), *results.failed(runs)], key=lambda run: run.path)


def by_job(baselines: Iterable[Result], news: Iterable[Result]) -> list[Pair]:
    """Pair each new run with the newest other successful run of the same job (see `_best`)."""
    of_job = _successful_by_job(baselines)
    return [Pair(_best((each for each in of_job[job(new)] if each.path != new.path), new), new) for new in news]


def with_last_good(runs: Iterable[Result], news: Iterable[Result]) -> list[Pair]:
    """Pair each new run with the newest earlier run of its job that ended with no error and no failed gate."""
    of_job = _successful_by_job(run for run in runs if not run.failed_gates)
    return [Pair(_best((each for each in of_job[job(new)] if each.ended_at < new.ended_at), new), new) for new in news]


def _successful_by_job(runs: Iterable[Result]) -> Mapping[Hashable, list[Result]]:
    grouped: dict[Hashable, list[Result]] = defaultdict(list)
    for run in runs:
        if run.status == "ok":
            grouped[job(run)].append(run)
    return grouped


def _best(candidates: Iterable[Result], new: Result) -> Result | None:
    """Return the newest run, of the same machine and with a valid measurement if there is one.

    Else a single disturbed measurement would hide that the next one is slower than all before.
    """

    def worth(run: Result) -> tuple[bool, bool, float]:
        is_measured = run.performance is not None and run.performance.valid
        return _machine(run) == _machine(new), is_measured, run.ended_at

    return max(candidates, key=worth, default=None)


def _machine(run: Result) -> Hashable:
    settings = identity.job(run)
    return tuple(settings[name] for name in MACHINE)

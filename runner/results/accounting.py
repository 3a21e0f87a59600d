"""Account for every job of a sweep: done, failed or missing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.core import seconds_since_epoch
from runner.results import identity
from runner.results.collection import Found, FoundSweep, failed
from runner.results.result import Result
from runner.results.sweeps import Sweep, SweepJob

CLOCKS_DIFFER_SECONDS = 60.0
"""By how much the clocks of two hosts may differ: a result older than its sweep by more is of an earlier one.

Beside the sweep.json no clock is asked: that file names the results that were there before.
"""


@dataclass(frozen=True, kw_only=True)
class Account:
    """The jobs of a sweep, and the folder of its sweep.json.

    `done` are those that succeeded, perhaps when they were run again, and `failed` those that ended with an error.
    `missing` ones have no result among those that were read: they were not started or were killed, or their results
    lie on another host's disk.
    """

    folder: str
    sweep: Sweep
    done: tuple[SweepJob, ...]
    failed: tuple[SweepJob, ...]
    missing: tuple[SweepJob, ...]

    @property
    def is_complete(self) -> bool:
        """Whether all jobs are done."""
        return not self.failed and not self.missing

    @property
    def totals(self) -> str:
        """How many jobs there are of each kind, as in "6 jobs: 4 done, 1 failed, 1 missing"."""
        counts = {"done": self.done, "failed": self.failed, "missing": self.missing}
        told = ", ".join(f"{len(jobs)} {kind}" for kind, jobs in counts.items() if jobs)
        count = len(self.sweep.jobs)
        return f"{count} {'job' if count == 1 else 'jobs'}: {told or 'none done'}"


@dataclass(frozen=True)
class _Known:
    """What was read: results by their path, failed ones that nothing repaired, sweeps by folder, and successes."""

    results: Mapping[str, Sequence[Result]]
    failed: frozenset[str]
    sweeps: Mapping[str, Sweep]
    succeeded: Mapping[object, float]


def accounts(found: Found) -> list[Account]:
    """Return an account of each sweep, with the results of all folders that were read.

    Copies of one sweep.json (of the same time and host) are one sweep. A job's result is the one in its folder below
    the sweep's, or below a folder of the same name elsewhere, as where another host's results were copied to.
    """
    if not found.sweeps:
        return []
    copies: dict[tuple[str, str], list[FoundSweep]] = {}
    for each in found.sweeps:
        copies.setdefault((each.sweep.created, each.sweep.host), []).append(each)
    depths = {_depth(job) for each in found.sweeps for job in each.sweep.jobs}
    known = _Known(
        results=_by_folder_names(found.results, depths),
        failed=frozenset(result.path for result in failed(found.results)),
        sweeps={each.folder: each.sweep for each in found.sweeps},
        succeeded=_succeeded(found.results),
    )
    return [_account(same, known) for same in copies.values()]


def _account(copies: Sequence[FoundSweep], known: _Known) -> Account:
    sweep = copies[0].sweep
    started_at = seconds_since_epoch(sweep.created)
    folders = {copy.folder.rpartition("/")[2] for copy in copies}
    jobs: dict[str, list[SweepJob]] = {"done": [], "failed": [], "missing": []}
    for job in sweep.jobs:
        own = [
            result
            for folder in folders
            for result in known.results.get(f"{folder}/{job.name}", ())
            if _is_of(result, job, sweep, known)
        ]
        jobs[_state(own, job, started_at, known)].append(job)
    done, failed, missing = map(tuple, jobs.values())
    return Account(folder=copies[0].folder, sweep=sweep, done=done, failed=failed, missing=missing)


def _state(own: Sequence[Result], job: SweepJob, started_at: float, known: _Known) -> str:
    if own:
        return "failed" if all(result.path in known.failed for result in own) else "done"
    done_at = known.succeeded.get(identity.typed(job.overrides), 0.0)
    return "done" if done_at > started_at else "missing"


def _is_of(result: Result, job: SweepJob, sweep: Sweep, known: _Known) -> bool:
    """Return whether a result in a folder of the sweep's and the job's names is that job's, and not another sweep's."""
    if result.overrides and identity.typed(result.overrides) != identity.typed(job.overrides):
        return False
    beside = known.sweeps.get(result.path.rsplit("/", _depth(job) + 1)[0])
    if beside is not None and (beside.created, beside.host) != (sweep.created, sweep.host):
        return False
    if beside is not None and beside.earlier is not None:
        return result.created not in beside.earlier
    return result.ended_at > seconds_since_epoch(sweep.created) - CLOCKS_DIFFER_SECONDS


def _depth(job: SweepJob) -> int:
    """Return how many folders a job's result.json lies below the sweep's."""
    return 1 + job.name.count("/")


def _by_folder_names(results: Iterable[Result], depths: Iterable[int]) -> dict[str, list[Result]]:
    """Return results by the last names of their folders, as in "2026-11-20_12-00-00/3"."""
    by_names: dict[str, list[Result]] = {}
    for result in results:
        names = result.path.split("/")
        for depth in depths:
            by_names.setdefault("/".join(names[-2 - depth : -1]), []).append(result)
    return by_names


def _succeeded(results: Iterable[Result]) -> dict[object, float]:
    """Return when each set of overrides succeeded last."""
    latest: dict[object, float] = {}
    for result in results:
        if result.status == "ok" and result.overrides:
            asked = identity.typed(result.overrides)
            latest[asked] = max(latest.get(asked, 0.0), result.ended_at)
    return latest

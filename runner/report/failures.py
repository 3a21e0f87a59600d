"""Runs that failed and jobs of sweeps that left no result, described for a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from runner.core import Problem
from runner.results import Account, Failure, Result, SweepJob, identity

LOG = "run.log"
"""The log in a run's folder."""
WHY_MISSING = "not started, killed, or its result is on another host's disk"
FIX_MISSING = "run it again, or copy the other hosts' folders here and name them all: python -m runner.report DIR DIR"


@dataclass(frozen=True)
class FailedRun:
    """A failed run: its description, its errors, each with the failed stage before it, and its log, empty if none."""

    name: str
    errors: tuple[Problem, ...]
    log: str


def described(result: Result) -> FailedRun:
    """Describe a failed run; its log is looked for beside its result."""
    error = result.error or Failure("", "no reason is given", "")
    log = Path(result.path).with_name(LOG)
    return FailedRun(identity.named(result), errors(error), str(log) if log.is_file() else "")


def errors(failure: Failure) -> tuple[Problem, ...]:
    """Return the problems of a failure, each with its fix, and with the failed stage before its message."""
    stage = f"{failure.stage}: " if failure.stage else ""
    return tuple(replace(problem, message=f"{stage}{problem.message}") for problem in failure.each)


def shortly(result: Result) -> str:
    """Return the stage at which a run failed, and the first line of the error's message."""
    if result.error is None:
        return "no reason is given"
    return f"{result.error.stage}: {(result.error.message.splitlines() or [''])[0]}"


def lines(run: FailedRun) -> Iterator[str]:
    """Yield a failed run as lines of text: each error, followed by its fix, and the log; fixes and log are indented."""
    for index, error in enumerate(run.errors):
        yield error.message if index else f"failed: {run.name}: {error.message}"
        if error.fix:
            yield f"    fix: {error.fix}"
    if run.log:
        yield f"    log: {run.log}"


def sweep_lines(account: Account) -> Iterator[str]:
    """Yield a sweep as lines of text: how many jobs are done, and each missing one."""
    yield f"{account.folder} on {account.sweep.host}: {account.totals}"
    for job in account.missing:
        yield f"    missing: {job_in_words(job)}: {WHY_MISSING}"
    if account.missing:
        yield f"    fix: {FIX_MISSING}"


def job_in_words(job: SweepJob) -> str:
    """Name a job of a sweep by its folder and its overrides."""
    return f"job {job.name} ({' '.join(job.overrides)})"

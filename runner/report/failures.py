"""Runs that failed and jobs of sweeps that left no result, described for a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.results import Account, Failure, Result, SweepJob, identity

LOG = "run.log"
"""The log in a run's folder."""
WHY_MISSING = "not started, killed, or its result is on another host's disk"
FIX_MISSING = "run it again, or copy the other hosts' folders here and name them all: python -m runner.report DIR DIR"


@dataclass(frozen=True)
class FailedRun:
    """A failed run: its description, the failed stage, the error's message and fix, and its log, empty if none."""

    name: str
    stage: str
    message: str
    fix: str
    log: str

    @property
    def error(self) -> str:
        """The failed stage and the message."""
        return f"{self.stage}: {self.message}" if self.stage else self.message


def described(result: Result) -> FailedRun:
    """Describe a failed run; its log is looked for beside its result."""
    error = result.error or Failure("", "no reason is given", "")
    log = Path(result.path).with_name(LOG)
    return FailedRun(identity.named(result), error.stage, error.message, error.fix, str(log) if log.is_file() else "")


def shortly(result: Result) -> str:
    """Return the stage at which a run failed, and the first line of the error's message."""
    if result.error is None:
        return "no reason is given"
    return f"{result.error.stage}: {(result.error.message.splitlines() or [''])[0]}"


def lines(run: FailedRun) -> Iterator[str]:
    """Yield a failed run as lines of text: what failed, then the fix and the log, indented."""
    yield f"failed: {run.name}: {run.error}"
    if run.fix:
        yield f"    fix: {run.fix}"
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

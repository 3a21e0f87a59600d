"""Find and read the result.json and sweep.json files below folders, and select the newest result of each job."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from runner.core import read_regular
from runner.results import identity, sweeps
from runner.results.result import NAME, Result, decode
from runner.results.sweeps import SWEEP, Sweep

NOT_ENTERED = ("cache",)
"""Folders that hold no results but very many files."""
LARGEST_BYTES = 64 << 20
"""Limit of a file of results. They are far smaller; the raw latencies beside one take 20 MB for a million calls."""


@dataclass(frozen=True)
class Skipped:
    """A file or folder that is not in the report, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class FoundSweep:
    """A sweep.json that was read, and the folder in which it lies."""

    folder: str
    sweep: Sweep


@dataclass(frozen=True)
class Found:
    """The results and the sweeps that were read, and what was skipped."""

    results: tuple[Result, ...]
    skipped: tuple[Skipped, ...] = ()
    sweeps: tuple[FoundSweep, ...] = ()


def find(paths: Sequence[Path]) -> Found:
    """Read every result.json and sweep.json below the folders, or the files themselves, in the order of their paths.

    Folders named `cache`, hidden folders and symlinks to folders are not entered. Unreadable files are `skipped`.
    """
    read: dict[str, Result | FoundSweep | Skipped] = {}
    for path in paths:
        for entry in _below(path):
            if entry.path not in read:
                read[entry.path] = entry if isinstance(entry, Skipped) else _read(entry)
    ordered = [read[path] for path in sorted(read)]
    return Found(
        tuple(entry for entry in ordered if isinstance(entry, Result)),
        tuple(entry for entry in ordered if isinstance(entry, Skipped)),
        tuple(entry for entry in ordered if isinstance(entry, FoundSweep)),
    )


def newest(results: Iterable[Result]) -> list[Result]:
    """Return the newest successful run with figures of each job, sorted by what the job ran.

    Jobs are told apart by their settings and versions (see runner.results.identity). A run with accuracy and
    performance is preferred to a newer one that has only one of them; a job without such a run may give one of each.
    """
    chosen: dict[Hashable, dict[tuple[bool, Hashable], Result]] = {}
    for result in sorted(results, key=lambda result: result.ended_at):
        if result.status == "ok" and (result.accuracy is not None or result.performance is not None):
            asked = *identity.job(result, measured=False).items(), *identity.versions(result).items()
            chosen.setdefault(asked, {})[result.accuracy is not None, _cards(result)] = result
    kept = [result for runs in chosen.values() for result in _not_covered(list(runs.values()))]
    return sorted(kept, key=lambda result: (*_kind(result), result.weights_origin))


def _cards(result: Result) -> Hashable:
    """Return what was measured; None if nothing was."""
    return (result.performance.devices, result.performance.chips) if result.performance else None


def _not_covered(runs: Sequence[Result]) -> list[Result]:
    """Return the runs of a job without those whose part, accuracy or performance, a complete one has too."""
    complete = {_cards(run) for run in runs if run.accuracy is not None and run.performance is not None}
    return [
        run
        for run in runs
        if (run.accuracy is not None and run.performance is not None)
        or (_cards(run) not in complete if run.performance else not complete)
    ]


def failed(results: Iterable[Result]) -> list[Result]:
    """Return the newest failed run of each job that no later run of the very same job on the same host has repaired.

    A later run repairs it if it succeeded and went through all stages that the failed one had reached.
    """
    ordered = sorted(results, key=lambda result: result.ended_at)
    broken = {_attempts(result)[0]: result for result in ordered if result.status == "failed"}
    done: dict[Hashable, dict[frozenset[str], float]] = {}
    for result in ordered if broken else ():
        if result.status == "ok":
            for key in broken.keys() & set(_attempts(result)):
                done.setdefault(key, {})[_stages(result)] = result.ended_at
    left = [
        result
        for key, result in broken.items()
        if not any(
            ended_at > result.ended_at and _stages(result) <= stages for stages, ended_at in done.get(key, {}).items()
        )
    ]
    return sorted(left, key=_kind)


def _attempts(result: Result) -> list[Hashable]:
    """Return the keys of what was asked for, the most exact first.

    Overrides as typed, and the host, say it best. Results of early versions lack them; a run whose configuration
    was rejected has no host, and perhaps no more than its path.
    """
    keys: list[Hashable] = []
    if result.overrides:
        asked = identity.typed(result.overrides)
        keys = [(asked, result.environment.host), (asked, "")] if result.environment.host else [(asked, "")]
    return [*keys, _kind(result)]


def _stages(result: Result) -> frozenset[str]:
    return frozenset(record.name for record in result.stages)


def _kind(result: Result) -> tuple[str, str, str, int, str]:
    # A run that failed early has no origin of weights; a rejected configuration has not even a model.
    return result.model, result.soc, result.tool, result.batch, result.dataset if result.model else result.path


@dataclass(frozen=True)
class _File:
    path: str
    written_at: float


def _below(place: Path) -> Iterator[_File | Skipped]:
    try:
        place = place.resolve()
        folders = [] if place.is_file() else [str(place)]
        if not folders:
            yield _File(str(place), place.stat().st_mtime)
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        yield Skipped(str(place), str(error))
        return
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name in (NAME, SWEEP):
                        yield _entry(entry)
                    elif entry.is_dir(follow_symlinks=False) and _is_entered(entry.name):
                        folders.append(entry.path)
        except OSError as error:
            yield Skipped(folder, error.strerror or str(error))


def _is_entered(name: str) -> bool:
    return name not in NOT_ENTERED and not name.startswith(".")


def _entry(entry: os.DirEntry[str]) -> _File | Skipped:
    try:
        return _File(entry.path, entry.stat().st_mtime) if entry.is_file() else Skipped(entry.path, "not a file")
    except OSError as error:
        return Skipped(entry.path, error.strerror or str(error))


def _read(file: _File) -> Result | FoundSweep | Skipped:
    try:
        content = read_regular(file.path, LARGEST_BYTES)
    except OSError as error:
        return Skipped(file.path, error.strerror or str(error))
    folder, _, name = file.path.rpartition(os.sep)
    try:
        if name == SWEEP:
            return FoundSweep(folder, sweeps.decode(content))
        return replace(decode(content), path=file.path, written_at=file.written_at)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return Skipped(file.path, _why_not(content, error))


def _why_not(content: bytes, error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return str(error)
    if not content.strip():
        return "empty"
    return f"not valid JSON, perhaps half-written: {error}"

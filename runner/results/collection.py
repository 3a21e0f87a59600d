"""Find and read the result.json files below folders, and select the newest of each kind of run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from runner.results.result import NAME, Result, decode

NOT_ENTERED = ("cache",)
"""Folders that hold no results but very many files."""
LARGEST_BYTES = 64 << 20
"""Larger files are skipped; results are far smaller."""


@dataclass(frozen=True)
class Skipped:
    """A file or folder that is not in the report, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Found:
    """The results that were read, and what was skipped."""

    results: tuple[Result, ...]
    skipped: tuple[Skipped, ...]


def find(paths: Sequence[Path]) -> Found:
    """Read every result.json below the folders, or the files themselves, in the order of their paths.

    Folders named `cache`, hidden folders and symlinks to folders are not entered. Unreadable files are `skipped`.
    """
    read: dict[str, Result | Skipped] = {}
    for path in paths:
        for entry in _below(path):
            if entry.path not in read:
                read[entry.path] = entry if isinstance(entry, Skipped) else _read(entry)
    ordered = [read[path] for path in sorted(read)]
    return Found(
        tuple(entry for entry in ordered if isinstance(entry, Result)),
        tuple(entry for entry in ordered if isinstance(entry, Skipped)),
    )


def newest(results: Iterable[Result]) -> list[Result]:
    """Return the newest successful run with figures of each (model, SoC, tool, batch, data set, weights' origin).

    A run of all samples is preferred to a limited one.
    """
    chosen: dict[tuple[object, ...], Result] = {}
    for result in sorted(results, key=lambda result: (result.limit is None, result.ended_at)):
        if result.status == "ok" and (result.performance is not None or result.accuracy is not None):
            chosen[_kind(result), result.weights_origin] = result
    return sorted(chosen.values(), key=lambda result: (*_kind(result), result.weights_origin))


def failed(results: Iterable[Result]) -> list[Result]:
    """Return the newest run of each kind, if it failed."""
    last: dict[tuple[object, ...], Result] = {}
    for result in sorted(results, key=lambda result: result.ended_at):
        last[_kind(result)] = result
    return sorted((result for result in last.values() if result.status == "failed"), key=_kind)


@dataclass(frozen=True)
class _File:
    path: str
    size_bytes: int
    written_at: float


def _kind(result: Result) -> tuple[str, str, str, int, str]:
    # A run that failed early has no origin of weights; a rejected configuration has not even a model.
    return result.model, result.soc, result.tool, result.batch, result.dataset if result.model else result.path


def _below(place: Path) -> Iterator[_File | Skipped]:
    try:
        place = place.resolve()
        folders = [] if place.is_file() else [str(place)]
        if not folders:
            yield _described(str(place), place.stat())
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        yield Skipped(str(place), str(error))
        return
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in NOT_ENTERED and not entry.name.startswith("."):
                            folders.append(entry.path)
                    elif entry.name == NAME:
                        yield _entry(entry)
        except OSError as error:
            yield Skipped(folder, error.strerror or str(error))


def _entry(entry: os.DirEntry[str]) -> _File | Skipped:
    try:
        return _described(entry.path, entry.stat()) if entry.is_file() else Skipped(entry.path, "not a file")
    except OSError as error:
        return Skipped(entry.path, error.strerror or str(error))


def _described(path: str, stat: os.stat_result) -> _File:
    return _File(path, stat.st_size, stat.st_mtime)


def _read(file: _File) -> Result | Skipped:
    if file.size_bytes > LARGEST_BYTES:
        return Skipped(file.path, f"{file.size_bytes >> 20} MiB: no result of this runner is so large")
    try:
        with open(file.path, "rb") as opened:  # noqa: PTH123 (thousands of files: a Path for each costs more than reading it)
            content = opened.read()
    except OSError as error:
        return Skipped(file.path, error.strerror or str(error))
    try:
        return replace(decode(content), path=file.path, written_at=file.written_at)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return Skipped(file.path, _why_not(content, error))


def _why_not(content: bytes, error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return str(error)
    if not content.strip():
        return "empty"
    return f"not valid JSON, perhaps half-written: {error}"

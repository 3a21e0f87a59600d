"""The result.json files below some folders: found, read, and the newest of each kind of run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from runner.gates import Gate
from runner.result import SCHEMA, Failure, StageRecord
from runner.tools import Command

NAME = "result.json"
NOT_ENTERED = ("cache",)
"""Folders without results, and with very many files."""
LARGEST_BYTES = 64 << 20
"""No result comes near it."""


@dataclass(frozen=True)
class UsedWeights:
    """The checkpoint of a run."""

    origin: str
    path: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Latency:
    """Milliseconds a call; None is what the tool does not tell."""

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    min: float | None = None
    max: float | None = None
    std: float | None = None


@dataclass(frozen=True)
class Performance:
    """What was measured; `reasons` say why it does not count where it is not `valid`."""

    samples_per_second: float | None = None
    latency_ms: Latency = field(default_factory=Latency)
    iterations: int | None = None
    warmup: int | None = None
    valid: bool = True
    reasons: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class WorstFidelity:
    """How close the worst output is to PyTorch's; the agreement in percent."""

    samples: int | None = None
    top1_agreement: float | None = None
    cosine: float | None = None
    max_abs: float | None = None
    mean_abs: float | None = None


@dataclass(frozen=True)
class Environment:
    """What a run ran on."""

    python: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    os: str = ""
    cpu: str = ""
    memory: str = ""
    tools: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """A result.json: what it says, where it lies, and when the file was written (seconds since the epoch).

    `created` is when the run ended (ISO 8601); runs of early versions do not tell. `limit` is the number of samples
    that the run was cut to, `stand_in` what it had instead of the data set that the published figures are from.
    `accuracy` holds the metrics by name, and `samples`, how many were scored. A run whose configuration was refused
    names no model.
    """

    status: Literal["ok", "failed"]
    created: str | None = None
    model: str = ""
    soc: str = ""
    tool: str = ""
    batch: int = 0
    dataset: str = ""
    limit: int | None = None
    stand_in: str | None = None
    weights: UsedWeights | None = None
    accuracy: dict[str, float | None] | None = None
    fidelity: WorstFidelity | None = None
    performance: Performance | None = None
    gates: tuple[Gate, ...] = ()
    stages: tuple[StageRecord, ...] = ()
    commands: tuple[Command, ...] = ()
    environment: Environment = field(default_factory=Environment)
    error: Failure | None = None
    path: str = ""
    written_at: float = 0.0

    def __post_init__(self) -> None:
        if self.status == "ok" and not (self.model and self.soc and self.tool and self.batch > 0):
            raise ValueError("it does not say which model ran on which soc, with which tool and batch size")
        if self.created is not None:
            datetime.fromisoformat(self.created)

    @property
    def ended_at(self) -> float:
        """When the run ended, else when its file was written: seconds since the epoch."""
        return self.written_at if self.created is None else datetime.fromisoformat(self.created).timestamp()

    @property
    def weights_origin(self) -> str:
        """file, url or random; empty for a run that did not come as far as its weights."""
        return self.weights.origin if self.weights else ""

    @property
    def samples_per_second(self) -> float | None:
        """The throughput; None where none was measured."""
        return self.performance.samples_per_second if self.performance else None

    @property
    def metrics(self) -> dict[str, float | None]:
        """The accuracy by metric name, without the number of samples."""
        return {name: value for name, value in (self.accuracy or {}).items() if name != "samples"}

    @property
    def failed_gates(self) -> tuple[Gate, ...]:
        """The gates that the run did not pass."""
        return tuple(gate for gate in self.gates if gate.verdict == "fail")


@dataclass(frozen=True)
class Skipped:
    """A file or folder that is not in the report, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What lay below the folders."""

    results: tuple[Result, ...]
    skipped: tuple[Skipped, ...]


def find(places: Sequence[Path]) -> Found:
    """Read every result.json below the folders, or the files themselves, in the order of their paths.

    A folder named `cache` is not entered, nor a hidden one, nor a link to a folder. What cannot be read is `skipped`.
    """
    read: dict[str, Result | Skipped] = {}
    for place in places:
        for found in _below(place):
            if found.path not in read:
                read[found.path] = found if isinstance(found, Skipped) else _read(found)
    ordered = [read[path] for path in sorted(read)]
    return Found(
        tuple(one for one in ordered if isinstance(one, Result)),
        tuple(one for one in ordered if isinstance(one, Skipped)),
    )


def newest(results: Iterable[Result]) -> list[Result]:
    """Of the runs that found something, the newest of each (model, SoC, tool, batch, data set, weights' origin).

    A run of all samples goes before one of fewer.
    """
    chosen: dict[tuple[object, ...], Result] = {}
    for result in sorted(results, key=lambda one: (one.limit is None, one.ended_at)):
        if result.status == "ok" and (result.performance is not None or result.accuracy is not None):
            chosen[_kind(result), result.weights_origin] = result
    return sorted(chosen.values(), key=lambda one: (*_kind(one), one.weights_origin))


def failed(results: Iterable[Result]) -> list[Result]:
    """The newest failed run of each kind, but for those that were done again since and ended well."""
    last: dict[tuple[object, ...], Result] = {}
    for result in sorted(results, key=lambda one: one.ended_at):
        last[_kind(result)] = result
    return sorted((one for one in last.values() if one.status == "failed"), key=_kind)


@dataclass(frozen=True)
class _File:
    path: str
    size_bytes: int
    written_at: float


def _kind(result: Result) -> tuple[str, str, str, int, str]:
    # A run that failed early does not know the origin of its weights, one that was refused not even its model.
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
        return replace(_decoded(content), path=file.path, written_at=file.written_at)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return Skipped(file.path, _why_not(content, error))


_DECODER = msgspec.json.Decoder(Result)


def _decoded(content: bytes) -> Result:
    """Raises msgspec.ValidationError: not of the shape; ValueError: no JSON."""
    if b'"schema": %d,' % SCHEMA in content[:64]:
        try:
            return _DECODER.decode(content)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            pass  # Python writes NaN and Infinity, which JSON does not know
    value = json.loads(content)
    fault = _foreign(value)
    if fault:
        raise msgspec.ValidationError(fault)
    return msgspec.convert(value, Result)


def _foreign(value: Any) -> str:
    """Why it is no result of this runner and this schema; empty where it is one."""
    if not isinstance(value, dict) or "schema" not in value:
        return "foreign: it has no schema, so it is no result of this runner"
    schema = value["schema"]
    if isinstance(schema, bool) or not isinstance(schema, int):
        return f"foreign: its schema is {schema!r}, not a number"
    if schema != SCHEMA:
        age = "older" if schema < SCHEMA else "newer"
        return f"{age} schema: {schema}, and this runner reads {SCHEMA}"
    return ""


def _why_not(content: bytes, error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return str(error)
    if not content.strip():
        return "empty"
    return f"not valid JSON, perhaps half-written: {error}"

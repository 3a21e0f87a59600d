"""The schema of sweep.json, which names every job of a sweep before the first one starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from runner.core import seconds_since_epoch, write_atomically
from runner.results.result import as_json

SCHEMA = 1
SWEEP = "sweep.json"


@dataclass(frozen=True)
class SweepJob:
    """A job of a sweep: the name of its folder below the sweep's, such as "0", and its overrides as typed."""

    name: str
    overrides: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The content of a sweep.json: when (ISO 8601) and on which host the sweep started, and all its jobs.

    `earlier` are the times of the results that lay in its folder before; null where that is not known.
    """

    schema: int = SCHEMA
    created: str
    host: str
    jobs: tuple[SweepJob, ...]
    earlier: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"it has schema {self.schema}, and this runner reads {SCHEMA}")
        seconds_since_epoch(self.created)


def write(folder: Path, sweep: Sweep) -> None:
    """Write sweep.json into the sweep's folder atomically."""
    write_atomically(folder / SWEEP, as_json(sweep))


def decode(content: bytes) -> Sweep:
    """Parse a sweep.json.

    Raises:
        msgspec.DecodeError: it is not JSON, or no list of a sweep's jobs of this schema. RecursionError: it is nested
        too deep.
    """
    return msgspec.json.decode(content, type=Sweep)

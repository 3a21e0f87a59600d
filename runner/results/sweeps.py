"""The schema of sweep.json, which names every job of a sweep before the first one starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from runner.core import DataError, write_atomically

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


def write(folder: Path, sweep: Sweep) -> None:
    """Write sweep.json into the sweep's folder atomically."""
    write_atomically(folder / SWEEP, msgspec.json.format(msgspec.json.encode(sweep), indent=2) + b"\n")


def read(path: Path) -> Sweep:
    """Return the content of a sweep.json.

    Raises:
        DataError: it cannot be read, or is no sweep.json of this schema.
    """
    fix = "remove the file: a report then shows the results that lie below its folder"
    try:
        sweep = msgspec.json.decode(path.read_bytes(), type=Sweep)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", fix) from error
    except msgspec.DecodeError as error:
        raise DataError(f"{path} is no list of a sweep's jobs: {error}", fix) from error
    if sweep.schema != SCHEMA:
        raise DataError(f"{path} has schema {sweep.schema}, and this runner reads {SCHEMA}", fix)
    return sweep

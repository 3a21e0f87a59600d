"""The journal of a preparation: which chunks of pictures a killed run had finished, and how their pictures were placed.

The digest of the plan is in the first line, a chunk's index and placements are in each further line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from runner.core import JSON_ERRORS, NOTE_SUFFIX, write_atomically
from runner.data.preprocess import Placed
from runner.data.storage import unwritable

JOURNAL = f"chunks{NOTE_SUFFIX}"

Placements = list[tuple[Placed, ...]]
"""The rows that are made of each of some pictures."""


def read_finished(journal: Path, plan: str) -> dict[int, Placements]:
    """Return the finished chunks of an earlier attempt at the same plan; a partial last line is left out."""
    if not journal.exists():
        return {}
    lines = journal.read_bytes().split(b"\n")[:-1]
    if not lines or lines[0] != plan.encode():
        return {}
    decoder = msgspec.json.Decoder(tuple[int, Placements])
    try:
        return dict(map(decoder.decode, lines[1:]))
    except JSON_ERRORS:
        return {}


def begin(journal: Path, plan: str, finished: Mapping[int, Placements]) -> None:
    """Write the plan and the chunks that are finished already: anew, so that a partial last line is not continued.

    Raises:
        OSError: it cannot be written.
    """
    write_atomically(journal, b"\n".join([plan.encode(), *map(msgspec.json.encode, finished.items()), b""]))


def append(journal: Path, index: int, placed: Placements) -> None:
    """Record a chunk whose arrays are on the disk.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        with journal.open("ab") as file:
            file.write(msgspec.json.encode((index, placed)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(journal, error) from error

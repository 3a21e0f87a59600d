"""Atomic file writes, and encoding of paths in JSON."""

from __future__ import annotations

import glob
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.core import locks

PARTIAL_SUFFIX = ".partial"
NOTE_SUFFIX = ".note"
"""Suffix of progress files, from which making an artifact is resumed; they are not part of the artifact."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically: readers see the old bytes or the new ones, even after a crash.

    Removes partial files left by killed writers of the same file; an active writer, here or on another host, holds a
    lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL_SUFFIX}"):
        remove_broken_write(left)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}")
    try:
        with locks.create_alone(partial) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def remove_broken_write(partial: Path) -> bool:
    """Remove a partial file left by a killed `write_atomically`; return False if it is still being written."""
    try:
        held = locks.try_alone(partial)
    except OSError:  # no locks on this file system: the writer may be active
        return False
    if held is None:
        return False
    with held:
        partial.unlink(missing_ok=True)
    return True


def entries_of(folder: Path) -> list[Path]:
    """Return the entries of a folder, sorted; an empty list if there is no such folder."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def path_encoder(folder: Path | None = None) -> Callable[[Any], str]:
    """Return a msgspec encoder for paths: relative if below `folder`, else absolute; unchanged without a folder."""

    def encode(value: Any) -> str:
        if not isinstance(value, Path):
            raise NotImplementedError(type(value))
        if folder is None:
            return str(value)
        return str(value.relative_to(folder) if value.is_relative_to(folder) else value.absolute())

    return encode


def path_decoder(folder: Path = Path()) -> Callable[[type, Any], Any]:
    """Return a msgspec decoder for paths, which resolves relative ones against `folder`."""

    def decode(kind: type, value: Any) -> Any:
        if not issubclass(kind, Path):
            raise NotImplementedError(kind)
        return folder / value

    return decode

"""Atomic file writes, and encoding of paths in JSON."""

from __future__ import annotations

import errno
import glob
import os
import stat
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


def read_regular(path: Path, most_bytes: int, root: Path | None = None) -> bytes:
    """Return the content of a regular file, without waiting on a FIFO or reading a device.

    With `root`, a folder that others may write, links are not followed, and the owner must be trusted in it.

    Raises:
        OSError: it cannot be read, is not a regular file, has more than `most_bytes`, or is not trusted.
    """

    def at_once(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY | (os.O_NOFOLLOW if root else 0))

    with open(path, "rb", opener=at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if root is not None and not is_trusted(status, root):
            raise OSError(errno.EINVAL, "it belongs to another user", str(path))
        is_larger = status.st_size > most_bytes  # before memory is taken
        content = b"" if is_larger else file.read(most_bytes + 1)
    if is_larger or len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it has more than {most_bytes} bytes", str(path))
    return content


def is_trusted(status: os.stat_result, root: Path) -> bool:
    """Return whether the owner of something below `root` is this user, the administrator, or who owns or shares `root`.

    Those of its group share a folder whose group may write it and passes on (setgid), and that others may not write.
    """
    top = root.stat()
    is_shared = top.st_mode & (stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH) == stat.S_ISGID | stat.S_IWGRP
    return status.st_uid in (0, os.geteuid(), top.st_uid) or (is_shared and status.st_gid == top.st_gid)


def distrust(folder: Path, root: Path) -> str:
    """Return why a folder below `root` is not used: it is a link, or of an owner who is not trusted; empty if it is.

    Raises:
        FileNotFoundError: there is none.
    """
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return "is no folder" if not stat.S_ISLNK(status.st_mode) else "is a link"
    return "" if is_trusted(status, root) else f"belongs to another user ({status.st_uid})"


def check_regular(path: Path) -> None:
    """Check that a path is a regular file or a link to one, before a library opens it.

    Raises:
        OSError: there is none, or it is a folder, a FIFO or a device, which could be waited on or read for ever.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


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

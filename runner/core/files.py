"""Atomic writes, reads of files that anybody may have written, and paths in JSON."""

from __future__ import annotations

import errno
import glob
import os
import stat
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from runner.core import locks
from runner.core.errors import ConfigError
from runner.core.shared_folders import is_trusted, make_folder

JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for JSON that is malformed, of another shape, not UTF-8, or nested too deep."""
PARTIAL_SUFFIX = ".partial"
NOTE_SUFFIX = ".note"
"""Suffix of progress files, from which making an artifact is resumed; they are not part of the artifact."""


def write_atomically(path: Path, data: bytes, root: Path | None = None) -> None:
    """Write a file atomically: readers see the old bytes or the new ones, even after a crash.

    Removes partial files left by killed writers of the same file; an active writer, here or on another host, holds a
    lock. With `root`, a folder that others may write, the file's folder is made as a folder of it (make_folder).

    Raises:
        OSError: it cannot be written. StoreError: below `root` its folder is a link, or not trusted.
    """
    if root is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        make_folder(path.parent, root)
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


def read_regular(path: Path | str, most_bytes: int, root: Path | None = None) -> bytes:
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
        content = b"" if is_larger else file.read(status.st_size + 1) or b""  # None where a read would wait
        if len(content) > status.st_size:  # it grows, or is one of /proc, which tell no size
            content += file.read(most_bytes) or b""
    if is_larger or len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it has more than {most_bytes} bytes", str(path))
    return content


def check_regular(path: Path) -> None:
    """Check that a path is a regular file or a link to one, before a library opens it.

    Raises:
        OSError: there is none, or it is a folder, a FIFO or a device, which could be waited on or read for ever.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def at_home(path: str | Path) -> Path:
    """Return a path with `~` or `~USER` at its beginning replaced by the home folder.

    Raises:
        ConfigError: there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{path}: the home folder of that user is not known", "give a full path") from error


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

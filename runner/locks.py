"""Locks on files, shared or alone, across processes and hosts; the kernel frees them however their process ends.

They are flock's: on NFS Linux carries them to the server, so that hosts which share a folder see each other's. A file
is only locked, never read, and may be removed by whoever holds it alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

_HELD_ELSEWHERE = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK})


def hold_shared(path: Path) -> IO[bytes]:
    """Hold the file, made where there is none, together with others, until what is returned is closed.

    Waits while someone holds it alone.

    Raises:
        OSError: the file cannot be made or opened, or the file system has no locks.
    """

    def made() -> IO[bytes]:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666), "rb", buffering=0)

    return _held(path, made, lambda file: fcntl.flock(file, fcntl.LOCK_SH))


def create_alone(path: Path) -> IO[bytes]:
    """Make a file, and hold it alone until what is returned is closed; unheld where the file system has no locks.

    Raises:
        OSError: the file is there already, or cannot be made.
    """

    def lock(file: IO[bytes]) -> None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)

    return _held(path, lambda: path.open("xb"), lock)


def try_alone(path: Path) -> IO[bytes] | None:
    """Hold an existing file alone until what is returned is closed; None where it is held, gone, or another user's.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        file = path.open("r+b", buffering=0)  # to lock alone, NFS asks for a file that is open for writing
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_still_at(file, path):
            return file
    except OSError as error:
        if error.errno not in _HELD_ELSEWHERE:
            file.close()
            raise
    file.close()
    return None


def _held(path: Path, opened: Callable[[], IO[bytes]], lock: Callable[[IO[bytes]], None]) -> IO[bytes]:
    """Open and lock, as often as the file is removed in between.

    Whoever held it alone may remove it while this waits; who clears up after the dead, before it is locked.
    """
    while True:
        file = opened()
        try:
            lock(file)
            if _is_still_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_still_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False

"""Shared and exclusive file locks across processes and hosts; the kernel releases them when the process ends.

They use flock; Linux forwards it to the server on NFS, so hosts that share a folder see each other's locks. A file is
only locked, never read, and may be removed by the holder of an exclusive lock.
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
    """Acquire a shared lock on the file, created if missing, until the returned file is closed.

    Waits while another process holds an exclusive lock.

    Raises:
        OSError: the file cannot be made or opened, or the file system has no locks.
    """

    def made() -> IO[bytes]:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666), "rb", buffering=0)

    return _held(path, made, lambda file: fcntl.flock(file, fcntl.LOCK_SH))


def create_alone(path: Path) -> IO[bytes]:
    """Create a file with an exclusive lock until it is closed; without one if the file system has no locks.

    Raises:
        OSError: the file is there already, or cannot be made.
    """

    def lock(file: IO[bytes]) -> None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)

    return _held(path, lambda: path.open("xb"), lock)


def try_alone(path: Path) -> IO[bytes] | None:
    """Lock an existing file exclusively until it is closed; return None if it is locked, gone, or not writable.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        file = path.open("r+b", buffering=0)  # NFS requires write access for an exclusive lock
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
    """Open and lock a file; retry if it is removed in between.

    The holder of the exclusive lock may remove it while this waits, and a cleanup may remove it before it is locked.
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

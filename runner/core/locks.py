"""Shared and exclusive file locks across processes and hosts; the kernel releases them when the process ends.

They use flock; Linux forwards it to the server on NFS, so hosts that share a folder see each other's locks. A file may
be removed by the holder of an exclusive lock. Only the files of `held` have content: who took the lock last.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

_HELD_ELSEWHERE = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK})


def hold_shared(path: Path) -> IO[bytes]:
    """Acquire a shared lock on the file, created if missing, until the returned file is closed.

    Waits while another process holds an exclusive lock.

    Raises:
        OSError: the file cannot be made or opened, or the file system has no locks.
    """
    return _held(
        path, lambda: _regular(path, os.O_RDONLY | os.O_CREAT, "rb"), lambda file: fcntl.flock(file, fcntl.LOCK_SH)
    )


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
        file = _regular(path, os.O_RDWR, "r+b")  # NFS requires write access for an exclusive lock
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


@contextmanager
def held(
    path: Path, holder: str, wait: Callable[[str], AbstractContextManager[None]], *, is_shared: bool = False
) -> Iterator[None]:
    """Hold a lock on the file, created if missing, and write `holder` into it for those who wait.

    If another process holds it, wait in the context `wait(its holder)`. Of several that share a lock, the holder is the
    one that took it last.

    Raises:
        OSError: the file cannot be made or opened, or the file system has no locks.
    """
    operation = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX

    def lock(file: IO[bytes]) -> None:
        try:
            fcntl.flock(file, operation | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _HELD_ELSEWHERE:
                raise
            with wait(_holder(file)):
                fcntl.flock(file, operation)

    with _held(path, lambda: _open_for_all(path), lock) as file:
        file.truncate(0)
        os.pwrite(file.fileno(), holder.encode(), 0)
        yield


def _open_for_all(path: Path) -> IO[bytes]:
    """Open a file that every user may lock; create it if missing."""
    try:
        return _regular(path, os.O_RDWR, "r+b")
    except FileNotFoundError:  # not O_CREAT at once: fs.protected_regular refuses it for another user's file in /tmp
        file = _regular(path, os.O_RDWR | os.O_CREAT, "r+b")
        with suppress(PermissionError):
            os.fchmod(file.fileno(), 0o666)  # whatever the umask is
        return file


def _regular(path: Path, flags: int, mode: Literal["rb", "r+b"]) -> IO[bytes]:
    """Open a regular file; a link, which may lead anywhere, and a FIFO, which may wait for ever, are refused."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(descriptor, mode, buffering=0)


def _holder(file: IO[bytes]) -> str:
    """Return the content of a lock's file, which anyone can write, as one short line."""
    text = os.pread(file.fileno(), 200, 0).decode(errors="replace")
    return "".join(filter(str.isprintable, text)) or "another process"


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
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False

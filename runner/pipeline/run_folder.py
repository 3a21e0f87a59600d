"""Lock a run's folder, so that only one run at a time writes to it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.core import StoreError, os_errors

MOST_NUMBERS = 1000
"""Upper bound of runs that start in the same microsecond."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder; the lock is released when the process ends, even if it is killed.

    Raises:
        StoreError: another run holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # NFS cannot lock folders
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                raise StoreError(
                    f"{folder}: another run is writing its results there",
                    f"wait for its end, or choose another folder with {os_errors.RUN_DIR}",
                ) from error
        yield
    finally:
        os.close(descriptor)


def discard(folder: Path) -> None:
    """Remove a run's folder, and those above it that are empty then and below the working folder."""
    shutil.rmtree(folder, ignore_errors=True)
    above = (parent for parent in folder.parents if Path.cwd() in parent.parents)
    with suppress(OSError):  # the first that is not empty
        for parent in above:
            parent.rmdir()


def claim(folder: Path) -> Path:
    """Create a new folder of this name, with a number appended if the name is taken.

    Raises:
        OSError: no folder can be created.
    """
    for number in range(1, MOST_NUMBERS):
        claimed = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        try:
            claimed.mkdir(parents=True)
            return claimed
        except FileExistsError:
            continue
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))

"""A run's folder belongs to one run at a time."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner import refusals
from runner.errors import StoreError

MOST_NUMBERS = 1000
"""Runs that begin in the same microsecond; more than there are."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the one run that writes its results into the folder; free again when the process ends, however it does.

    Raises:
        StoreError: another run holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # NFS locks no folders
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                raise StoreError(
                    f"{folder}: another run is writing its results there",
                    f"wait for its end, or choose another folder with {refusals.RUN_DIR}",
                ) from error
        yield
    finally:
        os.close(descriptor)


def claim(folder: Path) -> Path:
    """Make a folder of this name that nobody else has, with a number behind it where someone has.

    Raises:
        OSError: none can be made.
    """
    for number in range(1, MOST_NUMBERS):
        claimed = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        try:
            claimed.mkdir(parents=True)
            return claimed
        except FileExistsError:
            continue
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))

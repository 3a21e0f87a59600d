"""The lock of a device: nothing is measured while anything else of the runner uses the same device."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

from runner.core import Placement, StoreError, locks, waiting

FOLDER_VARIABLE = "MODEL_ZOO_LOCKS"
"""The folder of the locks, the temporary folder by default; containers that use one card share it."""


@contextmanager
def exclusive(placement: Placement, purpose: str) -> Iterator[None]:
    """Use the devices of the placement alone; wait until nobody else uses them.

    Raises:
        StoreError: a lock's file cannot be opened, or the file system has no locks.
    """
    with _held(placement, purpose, is_shared=False):
        yield


@contextmanager
def shared(placement: Placement, purpose: str) -> Iterator[None]:
    """Use the devices of the placement beside others; wait while one of them is used alone.

    Raises:
        StoreError: a lock's file cannot be opened, or the file system has no locks.
    """
    with _held(placement, purpose, is_shared=True):
        yield


@contextmanager
def _held(placement: Placement, purpose: str, *, is_shared: bool) -> Iterator[None]:
    folder = Path(os.environ.get(FOLDER_VARIABLE) or tempfile.gettempdir())
    with ExitStack() as stack:
        for device in sorted(placement.devices):  # in one order everywhere, so that two runs cannot wait for each other
            name = f"device {device} ({placement.soc})"
            path = folder / f"model-zoo-runner-{placement.kind}-{device}.lock"
            since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
            holder = f"pid {os.getpid()} on {socket.gethostname()}, {purpose}, since {since}"
            try:
                stack.enter_context(locks.held(path, holder, partial(_wait, name), is_shared=is_shared))
            except OSError as error:
                raise StoreError(
                    f"the lock of {name}, {path}: {error.strerror or error}",
                    f"name a folder that is there, and writable, with the environment variable {FOLDER_VARIABLE}",
                ) from error
        yield


def _wait(device: str, holder: str) -> AbstractContextManager[None]:
    return waiting(f"for {device}: {holder}")

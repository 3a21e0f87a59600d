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
def using_devices(placement: Placement, purpose: str, *, is_shared: bool) -> Iterator[None]:
    """Use the devices of the placement alone, or beside others that share them; wait until that is possible.

    Raises:
        StoreError: a lock's file cannot be opened, or the file system has no locks.
    """
    folder = Path(os.environ.get(FOLDER_VARIABLE) or tempfile.gettempdir())
    with ExitStack() as stack:
        for file_name, device in devices_by_file(placement).items():
            path = folder / file_name
            try:
                stack.enter_context(locks.held(path, holder(purpose), partial(_wait, device), is_shared=is_shared))
            except OSError as error:
                raise StoreError(
                    f"the lock of {device}, {path}: {error.strerror or error}",
                    f"name a folder that is there, and writable, with the environment variable {FOLDER_VARIABLE}",
                ) from error
        yield


def _wait(device: str, user: str) -> AbstractContextManager[None]:
    return waiting(f"for {device}: {user}")


def devices_by_file(placement: Placement) -> dict[str, str]:
    """Return the devices in words, by the names of their locks' files.

    They are in one order everywhere, so that two runs cannot wait for each other.
    """
    return {
        f"model-zoo-runner-{placement.kind}-{device}.lock": f"device {device} ({placement.soc})"
        for device in sorted(placement.devices)
    }


def holder(purpose: str) -> str:
    """Return who holds a lock, for those who wait for it."""
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return f"pid {os.getpid()} on {socket.gethostname()}, {purpose}, since {since}"

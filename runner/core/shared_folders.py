"""Folders that others may write, too: whom to trust in them, and never to follow a link there."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from runner.core import os_errors
from runner.core.errors import StoreError


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


def make_folder(path: Path, root: Path) -> None:
    """Make a folder of the store, if there is none; below a root that a group shares, with the root's permissions.

    Raises:
        StoreError: it is a link, no folder, or another user's who is not trusted. OSError: it cannot be made.
    """
    if not os.path.lexists(path):
        root.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir()
            mode = root.stat().st_mode
            if mode & stat.S_ISGID and mode & stat.S_IWGRP:
                path.chmod(stat.S_IMODE(mode))
    _check(path, root)


def entries_in(folder: Path, root: Path) -> list[Path]:
    """Return the entries of a folder of the store, sorted; an empty list if there is no such folder.

    Raises:
        StoreError: it is a link, no folder, or another user's who is not trusted.
    """
    try:
        _check(folder, root)
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _check(folder: Path, root: Path) -> None:
    reason = distrust(folder, root)
    if reason:
        raise StoreError(
            f"{folder} {reason}, and a store follows no links and takes nothing from users it cannot trust",
            f"remove it, or choose another folder with {os_errors.CACHE_DIR}; docs/shared_cache.md: sharing one",
        )

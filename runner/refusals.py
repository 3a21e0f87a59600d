"""What the machine refuses, a full disk or a folder of another user, as errors that name the place and the need."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.errors import StoreError

CACHE_DIR = "cache_dir=DIR"
RUN_DIR = "hydra.run.dir=DIR or hydra.sweep.dir=DIR"

_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_PERMISSION = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FILES = frozenset({errno.EMFILE, errno.ENFILE})
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR})
_DEVICE = frozenset({errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT, errno.EHOSTDOWN})
_MACHINES = _ROOM | _PERMISSION | _FILES | _DEVICE | {errno.EFBIG, errno.ENOLCK}
"""What no program is to blame for."""
_RUST = re.compile(r"\(os error (\d+)\)")


def refusal(error: OSError, path: Path, option: str = CACHE_DIR, needed_bytes: int | None = None) -> StoreError:
    """The error of a place that cannot be written or read; `option` is how to choose another one."""
    place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes, os.PathLike)) else path
    reason = error.strerror or str(error) or type(error).__name__
    return StoreError(f"{place}: {reason}{_need(error, place, needed_bytes)}", _fix(error, option))


@contextmanager
def told(path: Path, option: str = CACHE_DIR, needed_bytes: int | None = None) -> Iterator[None]:
    """Raise what the machine refuses inside as a StoreError about `path`, where the error names no place itself."""
    try:
        yield
    except OSError as error:
        raise refusal(error, path, option, needed_bytes) from error


def machines_own(error: BaseException) -> OSError | None:
    """The refusal of the machine that an exception is, or that compiled code tells in its text; None for others."""
    if isinstance(error, OSError):
        return error if error.errno in _MACHINES else None
    told_by_rust = _RUST.search(str(error))
    if told_by_rust and int(told_by_rust[1]) in _MACHINES:
        return OSError(int(told_by_rust[1]), os.strerror(int(told_by_rust[1])))
    return None


def of_a_place(error: BaseException) -> OSError | None:
    """The refusal of the machine, or of a place that is no folder, that an exception is or was raised for."""
    following: BaseException | None = error
    while following is not None:
        if isinstance(following, OSError) and following.errno in _MACHINES | _NO_FOLDER:
            return following
        following = following.__cause__ or following.__context__
    return None


def _need(error: OSError, place: Path, needed_bytes: int | None) -> str:
    if error.errno in _ROOM:
        needed = "" if needed_bytes is None else f"about {_told(needed_bytes)} needed, "
        return f" ({needed}{_free(place)} free)"
    if error.errno in _FILES:
        return f" (this process may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]})"
    if error.errno == errno.EFBIG:
        needed = "" if needed_bytes is None else f"about {_told(needed_bytes)} needed, "
        return f" ({needed}{_told(resource.getrlimit(resource.RLIMIT_FSIZE)[0])} allowed)"
    return ""


def _told(size_bytes: int) -> str:
    from rich.filesize import decimal  # not where a tool is measured alone: that imports this module

    return decimal(size_bytes)


def _free(place: Path) -> str:
    for folder in (place, *place.parents):
        try:
            return _told(shutil.disk_usage(folder).free)
        except OSError:
            continue
    return "an unknown number of bytes"


def _fix(error: OSError, option: str) -> str:
    other = f"choose another folder with {option}"
    if error.errno in _ROOM:
        quota = "get a larger quota, " if error.errno == errno.EDQUOT else ""
        return f"make room there (python -m runner.cache prune --to SIZE), {quota}or {other}"
    if error.errno == errno.EROFS:
        return f"mount it for writing, or {other}"
    if error.errno in _PERMISSION:
        return f"give this user permission to write there, or {other}"
    if error.errno in _FILES:
        return "allow more open files, as in `ulimit -n 4096`, and run again"
    if error.errno == errno.EFBIG:
        return "allow larger files, as in `ulimit -f unlimited`, and run again"
    if error.errno == errno.ENOLCK:
        return f"mount it with locks, or {other}"
    if error.errno in _NO_FOLDER:
        return f"{other}, one that is a folder or can be made"
    return f"check the disk or the server that holds it, or {other}"

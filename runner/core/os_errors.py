"""OSErrors of the environment (full disk, missing permission) as StoreErrors that name the path and the fix."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.core.errors import StoreError, causes, text_of

CACHE_DIR = "cache_dir=DIR"
RUN_DIR = "hydra.run.dir=DIR or hydra.sweep.dir=DIR"

_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_PERMISSION = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FILES = frozenset({errno.EMFILE, errno.ENFILE})
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR})
_DEVICE = frozenset({errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT, errno.EHOSTDOWN})
_MACHINE = _ROOM | _PERMISSION | _FILES | _DEVICE | {errno.EFBIG, errno.ENOLCK, errno.ENAMETOOLONG}
"""Errors caused by the environment, not by a bug."""
_RUST = re.compile(r"\(os error (\d+)\)")


def as_store_error(error: OSError, path: Path, option: str = CACHE_DIR, needed_bytes: int | None = None) -> StoreError:
    """Return a StoreError about the OSError's file, or `path`; `option` is the option that chooses another folder."""
    place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes, os.PathLike)) else path
    if error.errno == errno.ENOENT and not place.is_absolute() and not _has_working_folder():
        return StoreError(f"{place}: the working folder has been removed", "change into a folder that is there")
    reason = error.strerror or str(error) or type(error).__name__
    return StoreError(f"{place}: {reason}{_need(error, place, needed_bytes)}", _fix(error, option))


@contextmanager
def as_store_errors(path: Path, option: str = CACHE_DIR, needed_bytes: int | None = None) -> Iterator[None]:
    """Convert an OSError in the block to a StoreError about the OSError's file, or `path` if it names none."""
    try:
        yield
    except OSError as error:
        raise as_store_error(error, path, option, needed_bytes) from error


def of_the_machine(error: BaseException) -> OSError | None:
    """Return the environment's OSError: the exception itself, or one named in a Rust library's message; else None."""
    if isinstance(error, OSError):
        return error if error.errno in _MACHINE else None
    number = _RUST.search(text_of(error))
    if number and int(number[1]) in _MACHINE:
        return OSError(int(number[1]), os.strerror(int(number[1])))
    return None


def of_a_folder(error: BaseException, folder: Path) -> OSError | None:
    """Return the environment's OSError, or one that means that `folder`, or what it is to hold, cannot be made."""
    refused = of_the_machine(error)
    if refused is not None or not isinstance(error, OSError) or error.errno not in _NO_FOLDER - {errno.ENOENT}:
        return refused
    return error if Path(os.fsdecode(error.filename or b"")).is_relative_to(folder) else None


def of_a_path(error: BaseException) -> OSError | None:
    """Return the first OSError in the causes that is the environment's or means that a path is no folder."""
    numbers = _MACHINE | _NO_FOLDER
    return next((cause for cause in causes(error) if isinstance(cause, OSError) and cause.errno in numbers), None)


def _has_working_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _need(error: OSError, place: Path, needed_bytes: int | None) -> str:
    needed = "" if needed_bytes is None else f"about {_size(needed_bytes)} needed, "
    if error.errno in _ROOM:
        return f" ({needed}{_free(place)} free)"
    if error.errno in _FILES:
        return f" (this process may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]})"
    if error.errno == errno.EFBIG:
        most_bytes = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        unlimited = most_bytes == resource.RLIM_INFINITY
        return f" ({needed}{'more than the file system takes' if unlimited else f'{_size(most_bytes)} allowed'})"
    return ""


def _size(size_bytes: int) -> str:
    from rich.filesize import decimal  # imported late: a tool measured in its own process imports this module

    return decimal(size_bytes)


def _free(place: Path) -> str:
    for folder in (place, *place.parents):
        try:
            return _size(shutil.disk_usage(folder).free)
        except OSError:
            continue
    return "an unknown number of bytes"


def _fix(error: OSError, option: str) -> str:
    alternative = f"choose another folder with {option}"
    if error.errno in _ROOM:
        quota = "get a larger quota, " if error.errno == errno.EDQUOT else ""
        return f"make room there (python -m runner.cache prune --to SIZE), {quota}or {alternative}"
    if error.errno == errno.EROFS:
        return f"mount it for writing, or {alternative}"
    if error.errno in _PERMISSION:
        return f"give this user permission to write there, or {alternative}"
    if error.errno in _FILES:
        return "allow more open files, as in `ulimit -n 4096`, and run again"
    if error.errno == errno.EFBIG:
        return "allow larger files, as in `ulimit -f unlimited`, and run again"
    if error.errno == errno.ENOLCK:
        return f"mount it with locks, or {alternative}"
    if error.errno in _NO_FOLDER:
        return f"{alternative}, one that is a folder or can be made"
    return f"check the disk or the server that holds it, or {alternative}"

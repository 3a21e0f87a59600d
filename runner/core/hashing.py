"""SHA-256 of files, cached while the files are unchanged."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec

from runner.core.errors import StoreError
from runner.core.files import JSON_ERRORS, read_regular, write_atomically

Stat = tuple[int, int, int, int]
MOST_BYTES = 1 << 30
"""Of remembered digests: a data set of a million files takes 0.2 GB."""
CLOCK_TICK_NS = 20_000_000
"""Coarsest resolution of file times on a local disk: twice the kernel's tick of 10 ms."""


def core_count() -> int:
    """Return the number of CPU cores available to this process; taskset and containers may restrict it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, using constant memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def stat_of(path: Path) -> Stat:
    """Return size, mtime and ctime in ns, and inode, to detect changes of a file. The ctime cannot be set back."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


class FileHashes:
    """Cached digests of files, one cache file per root in a store's `folder`, valid while `stat_of` is unchanged.

    Written by rename, last writer wins: a lost entry costs another hashing, never a wrong digest.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, root: Path, files: Sequence[Path]) -> list[str]:
        """Return the digests of `files`, paths relative to `root`, in order; hash new or changed files on all cores.

        A file is not cached if it changes while it is hashed, or within the resolution of the file system's clock
        before that.
        """
        root = root.resolve()
        memory_path = self._folder / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}.json"
        remembered = _read(memory_path)
        stats = {str(path): stat_of(root / path) for path in files}
        stale = [name for name, stat in stats.items() if name not in remembered or remembered[name][0] != stat]
        if stale:
            with ThreadPoolExecutor(core_count()) as pool:
                digests = pool.map(sha256_of, (root / name for name in stale))
                remembered |= {name: (stats[name], digest) for name, digest in zip(stale, digests, strict=True)}
            latest_ns = time.time_ns() - CLOCK_TICK_NS
            lasting = {
                name: (stat, digest)
                for name, (stat, digest) in remembered.items()
                if name not in stale or (stat[2] < latest_ns and stat_of(root / name) == stat)
            }
            with suppress(OSError, StoreError):  # stages that need to write to the store report the error
                _write(memory_path, lasting)
        return [remembered[str(path)][1] for path in files]


def _read(path: Path) -> dict[str, tuple[Stat, str]]:
    try:
        digest, _, data = read_regular(path, MOST_BYTES, path.parents[1]).partition(b"\n")
        if digest != hashlib.sha256(data).hexdigest().encode():
            return {}
        return msgspec.json.decode(data, type=dict[str, tuple[Stat, str]])
    except (OSError, *JSON_ERRORS):
        return {}


def _write(path: Path, remembered: dict[str, tuple[Stat, str]]) -> None:
    data = msgspec.json.encode(remembered)
    write_atomically(path, hashlib.sha256(data).hexdigest().encode() + b"\n" + data, path.parents[1])

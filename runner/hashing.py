"""SHA-256 of files, remembered for as long as the files are untouched."""

from __future__ import annotations

import glob
import hashlib
import os
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec

from runner import locks

Stat = tuple[int, int, int, int]
PARTIAL_SUFFIX = ".partial"
CLOCK_TICK_NS = 20_000_000
"""The coarsest step of file times on a local disk: the kernel's tick of 10 ms, twice."""


def sha256_of(path: Path) -> str:
    """Hash a file's bytes in constant memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def stat_of(path: Path) -> Stat:
    """What changes whenever a file's bytes do: size, mtime and ctime in ns, inode. The ctime cannot be set back."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


class FileHashes:
    """Digests of files below some root, kept in one file a root in `folder`, valid while their `stat_of` stands.

    Written by rename, last writer wins: losing an entry costs one more hashing, never a wrong digest.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, root: Path, files: Sequence[Path]) -> list[str]:
        """Digests of `files`, paths relative to `root`, in order; hashes what is new or touched, on all cores.

        A file that changes while it is hashed, or so soon before that the clock of the file system may not tell the
        next change from this one, is not remembered.
        """
        root = root.resolve()
        memory_path = self._folder / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}.json"
        remembered = _read(memory_path)
        stats = {str(path): stat_of(root / path) for path in files}
        stale = [name for name, stat in stats.items() if name not in remembered or remembered[name][0] != stat]
        if stale:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                digests = pool.map(sha256_of, (root / name for name in stale))
                remembered |= {name: (stats[name], digest) for name, digest in zip(stale, digests, strict=True)}
            latest_ns = time.time_ns() - CLOCK_TICK_NS
            lasting = {
                name: (stat, digest)
                for name, (stat, digest) in remembered.items()
                if name not in stale or (stat[2] < latest_ns and stat_of(root / name) == stat)
            }
            with suppress(OSError):  # a store that cannot be written is told of by those that have to
                _write(memory_path, lasting)
        return [remembered[str(path)][1] for path in files]


def _read(path: Path) -> dict[str, tuple[Stat, str]]:
    try:
        digest, _, data = path.read_bytes().partition(b"\n")
        if digest != hashlib.sha256(data).hexdigest().encode():
            return {}
        return msgspec.json.decode(data, type=dict[str, tuple[Stat, str]])
    except (OSError, msgspec.DecodeError):
        return {}


def _write(path: Path, remembered: dict[str, tuple[Stat, str]]) -> None:
    data = msgspec.json.encode(remembered)
    write_atomically(path, hashlib.sha256(data).hexdigest().encode() + b"\n" + data)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old bytes or the new ones, never half of them, even after a crash.

    What a killed writer of the same file has left beside it is removed; one that still writes, here or on another
    host, holds a lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL_SUFFIX}"):
        remove_broken_write(left)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}")
    try:
        with locks.create_alone(partial) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def remove_broken_write(partial: Path) -> bool:
    """Remove what `write_atomically` left when it was killed; False where it is still being written."""
    try:
        held = locks.try_alone(partial)
    except OSError:  # a file system without locks: it may be
        return False
    if held is None:
        return False
    with held:
        partial.unlink(missing_ok=True)
    return True

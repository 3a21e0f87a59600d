"""SHA-256 of files, remembered for as long as the files are untouched."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

Stat = tuple[int, int, int, int]


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
    """Digests of files below some root, kept in one JSON file a root in `folder`, valid while their `stat_of` stands.

    Written by rename, last writer wins: losing an entry costs one more hashing, never a wrong digest.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, root: Path, files: Sequence[Path]) -> list[str]:
        """Digests of `files`, paths relative to `root`, in order; hashes what is new or touched, on all cores."""
        root = root.resolve()
        memory_path = self._folder / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}.json"
        remembered = _read(memory_path)
        stats = {str(path): stat_of(root / path) for path in files}
        stale = [name for name, stat in stats.items() if name not in remembered or remembered[name][0] != stat]
        if stale:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                digests = pool.map(sha256_of, (root / name for name in stale))
                remembered |= {name: (stats[name], digest) for name, digest in zip(stale, digests, strict=True)}
            write_atomically(memory_path, msgspec.json.encode(remembered))
        return [remembered[str(path)][1] for path in files]


def _read(path: Path) -> dict[str, tuple[Stat, str]]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, tuple[Stat, str]])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old bytes or the new ones, never half of them, even after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)

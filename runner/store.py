"""Content-addressed artifacts: made once under a lock, in a partial folder, fsynced, renamed, verified before use.

<root>/<stage>/<key>/           a finished artifact: its files and artifact.json
<root>/partial/<stage>-<key>/   one being made; kept after a failure, so that a stage can go on from there
<root>/locks/<stage>-<key>.lock
<root>/hashes/                  digests of input files (runner.hashing)
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from filelock import FileLock

from runner.artifacts import Artifact
from runner.errors import StoreError
from runner.hashing import FileHashes, Stat, sha256_of, stat_of, write_atomically
from runner.tools import Command

SCHEMA = 1
MANIFEST = "artifact.json"
T = TypeVar("T", bound=Artifact)


@dataclass(frozen=True)
class StoredFile:
    """A file of an artifact: its digest, and its stat when it was last known to have that digest."""

    sha256: str
    stat: Stat


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A finished artifact. `seconds` is what making it took, `commands` the external programs that made it."""

    artifact: T
    seconds: float
    commands: tuple[Command, ...]


class Store:
    """Artifacts below `root`, by stage and key."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hash_files = FileHashes(root / "hashes")

    def find(self, stage: str, key: str, kind: type[T]) -> Entry[T] | None:
        """The finished artifact, or None when there is none whose files are all as they were written."""
        folder = self._folder(stage, key)
        try:
            manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=dict[str, Any])
            if manifest["schema"] != SCHEMA:
                return None
            files = msgspec.convert(manifest["files"], dict[str, StoredFile])
            artifact = msgspec.convert(manifest["artifact"], kind, dec_hook=_resolver(folder))
            seconds = float(manifest["seconds"])
            commands = msgspec.convert(manifest["commands"], tuple[Command, ...])
        except (OSError, msgspec.MsgspecError, KeyError, TypeError, ValueError):
            return None
        return Entry(artifact, seconds, commands) if _intact(folder, files) else None

    def spoilt(self, stage: str, key: str) -> bool:
        """Whether something lies where the artifact should, though `find` does not take it."""
        return self._folder(stage, key).exists()

    @contextmanager
    def locked(self, stage: str, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Be the one maker of this artifact; calls `waiting` once if another process is."""
        path = self.root / "locks" / f"{stage}-{key}.lock"
        with _told_as_store_error(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0)
            except TimeoutError:
                waiting()
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def workplace(self, stage: str, key: str, resume: bool) -> Path:
        """The folder to make the artifact in; empty, unless `resume` asks for what a broken try left."""
        path = self.root / "partial" / f"{stage}-{key}"
        with _told_as_store_error(path):
            if not resume:
                shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True, exist_ok=True)
        return path

    def publish(self, stage: str, key: str, artifact: T, seconds: float, commands: Sequence[Command] = ()) -> Entry[T]:
        """Make what lies in the workplace the finished artifact, in one rename."""
        partial = self.root / "partial" / f"{stage}-{key}"
        folder = self._folder(stage, key)
        with _told_as_store_error(folder):
            files = {path.relative_to(partial).as_posix(): path for path in _files(partial)}
            manifest = {
                "schema": SCHEMA,
                "artifact": msgspec.to_builtins(artifact, enc_hook=_relativiser(partial)),
                "files": {name: StoredFile(sha256_of(path), _synced_stat(path)) for name, path in files.items()},
                "seconds": seconds,
                "commands": list(commands),
            }
            write_atomically(partial / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
            if folder.exists():
                shutil.rmtree(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial.rename(folder)
            _sync_folder(folder.parent)
        found = self.find(stage, key, type(artifact))
        if found is None:
            raise StoreError(f"{folder} cannot be read back", "check the disk that holds cache_dir")
        return found

    def _folder(self, stage: str, key: str) -> Path:
        return self.root / stage / key


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _intact(folder: Path, files: dict[str, StoredFile]) -> bool:
    for name, stored in files.items():
        path = folder / name
        try:
            if stat_of(path) != stored.stat and sha256_of(path) != stored.sha256:
                return False
        except OSError:
            return False
    return True


def _synced_stat(path: Path) -> Stat:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return stat_of(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _relativiser(folder: Path) -> Callable[[Any], Any]:
    def encode(value: Any) -> Any:
        if not isinstance(value, Path):
            raise NotImplementedError(type(value))
        inside = value.is_relative_to(folder)
        return str(value.relative_to(folder)) if inside else str(value.absolute())

    return encode


def _resolver(folder: Path) -> Callable[[type, Any], Any]:
    def decode(kind: type, value: Any) -> Any:
        if not issubclass(kind, Path):
            raise NotImplementedError(kind)
        return folder / value  # an absolute value stands for itself

    return decode


@contextmanager
def _told_as_store_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{error.filename or path}: {error.strerror or error}",
            "make room or give permission there, or choose another folder with cache_dir=DIR",
        ) from error

"""Content-addressed artifacts: made once under a lock, in a partial folder, fsynced, renamed, verified before use.

<root>/<stage>/<key>/           a finished artifact: its files and artifact.json, touched whenever it is used
<root>/partial/<stage>-<key>.<try>/   one being made, in a folder that no other try has: a tool may outlive its run
<root>/partial/<stage>-<key>/   the same of a stage that goes on from where a broken try stopped
<root>/partial/<stage>-<key>.old/            one that is being replaced or pruned
<root>/locks/<stage>-<key>.lock              held by its maker
<root>/in_use/<stage>-<key>                  held, shared, by every run that has taken it, until the run ends
<root>/hashes/                  digests of input files (runner.hashing)
<root>/libraries/               what timm and torchvision say of their networks (runner.libraries)

Both locks are the kernel's, so a process that dies frees them. `python -m runner.cache` (runner.cache) removes only
what it can hold alone.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Generic, TypeVar

from filelock import FileLock

from runner import locks, manifests
from runner.artifacts import Artifact
from runner.errors import StoreError
from runner.hashing import FileHashes
from runner.manifests import MANIFEST, Damaged, Manifest
from runner.refusals import told
from runner.tools import Command

T = TypeVar("T", bound=Artifact)


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A finished artifact. `seconds` is what making it took, `commands` the external programs that made it."""

    artifact: T
    seconds: float
    commands: tuple[Command, ...]


@dataclass(frozen=True)
class Places:
    """Where everything of one artifact lies."""

    root: Path
    stage: str
    key: str

    @property
    def name(self) -> str:
        return f"{self.stage}-{self.key}"

    @property
    def folder(self) -> Path:
        return self.root / self.stage / self.key

    @property
    def resumed(self) -> Path:
        return self.root / "partial" / self.name

    @property
    def old(self) -> Path:
        return self.root / "partial" / f"{self.name}.old"

    def partials(self) -> list[Path]:
        """All that lies in the folder of unfinished things for it, the old one too."""
        if not self.resumed.parent.is_dir():
            return []
        return sorted(path for path in self.resumed.parent.iterdir() if path.name.partition(".")[0] == self.name)

    @property
    def lock(self) -> Path:
        return self.root / "locks" / f"{self.name}.lock"

    @property
    def mark(self) -> Path:
        return self.root / "in_use" / self.name


class Store:
    """Artifacts below `root`, by stage and key. `model` is the one whose artifacts are made."""

    def __init__(self, root: Path, model: str = "") -> None:
        self.root = root
        self.model = model
        self.hash_files = FileHashes(root / "hashes")
        self._marks: dict[str, IO[bytes]] = {}
        self._workplaces: dict[str, Path] = {}

    def find(self, stage: str, key: str, kind: type[T]) -> Entry[T] | None:
        """The finished artifact, or None when there is none whose files are all as they were written.

        It may be pruned the next moment; see `take`.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            return self._read(self._at(stage, key), kind)
        except Damaged:
            return None

    def take(self, stage: str, key: str, kind: type[T]) -> Entry[T] | None:
        """Like `find`, and keep the artifact from being pruned until `close`, found or yet to be made."""
        places = self._at(stage, key)
        self._mark(places)
        found = self.find(stage, key, kind)
        if found is not None:
            with suppress(OSError):  # a store that is only read remembers no use
                os.utime(places.folder / MANIFEST)
            if places.partials():
                _remove_leftovers(places)
        return found

    def close(self) -> None:
        """Let everything that was taken be pruned."""
        for file in self._marks.values():
            file.close()
        self._marks.clear()

    def damage(self, stage: str, key: str, kind: type[Artifact]) -> str | None:
        """Why `find` does not take what lies where the artifact should; None where it does, or nothing lies there."""
        places = self._at(stage, key)
        try:
            self._read(places, kind)
        except Damaged as damaged:
            return str(damaged) if os.path.lexists(places.folder) else None
        return None

    @contextmanager
    def locked(self, stage: str, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Be the one maker of this artifact; calls `waiting` once if another process is."""
        path = self._at(stage, key).lock
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path, mode=0o666)
            try:
                lock.acquire(timeout=0)
            except TimeoutError:
                waiting()
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def finish(self, stage: str, key: str, kind: type[T]) -> Entry[T] | None:
        """Put in its place what a maker had finished when it was killed; None where there is no such thing."""
        places = self._at(stage, key)
        with told(places.folder):
            for partial in places.partials():
                try:
                    manifest = manifests.read(partial)
                    manifest.artifact_in(partial, kind)
                    manifest.check(partial)
                except Damaged:
                    continue
                if partial != places.old:
                    _put_in_place(places, partial, manifest)
                    return self.find(stage, key, kind)
        return None

    def workplace(self, stage: str, key: str, resume: bool) -> Path:
        """The folder to make the artifact in; empty, unless `resume` asks for what a broken try left."""
        places = self._at(stage, key)
        path = places.resumed if resume else places.resumed.with_name(f"{places.name}.{uuid.uuid4().hex[:8]}")
        for left in places.partials():
            if left != path:
                _remove_as_far_as_possible(left)
        with told(path):
            path.mkdir(parents=True, exist_ok=True)
        self._workplaces[places.name] = path
        return path

    def discard(self, stage: str, key: str) -> None:
        """Give back the room that a broken try takes."""
        _remove_as_far_as_possible(self._workplaces[self._at(stage, key).name])

    def publish(self, stage: str, key: str, artifact: T, seconds: float, commands: Sequence[Command] = ()) -> Entry[T]:
        """Make what lies in the workplace the finished artifact, in one rename."""
        places = self._at(stage, key)
        partial = self._workplaces[places.name]
        with told(partial):
            described = manifests.describe(partial, artifact, self.model, time.time(), seconds)
            manifest = replace(described, commands=tuple(commands))
            manifests.write(partial, manifest)
            _put_in_place(places, partial, manifest)
        found = self.find(stage, key, type(artifact))
        if found is None:
            raise StoreError(f"{places.folder} cannot be read back", "check the disk that holds cache_dir")
        return found

    def _at(self, stage: str, key: str) -> Places:
        return Places(self.root, stage, key)

    def _read(self, places: Places, kind: type[T]) -> Entry[T]:
        with told(places.folder):
            manifest = manifests.read(places.folder)
            artifact = manifest.artifact_in(places.folder, kind)
            manifest.check(places.folder)
        return Entry(artifact, manifest.seconds, manifest.commands)

    def _mark(self, places: Places) -> None:
        if places.name in self._marks:
            return
        # A store that cannot be written is not pruned either, by this user at least; making something in it is told.
        with suppress(OSError):
            places.mark.parent.mkdir(parents=True, exist_ok=True)
            self._marks[places.name] = locks.hold_shared(places.mark)


def _put_in_place(places: Places, partial: Path, manifest: Manifest) -> None:
    """Let the finished partial folder be the artifact.

    Where the same files are there already only the manifest is replaced: who reads them notices nothing.
    """
    for note in manifests.notes_of(partial):
        note.unlink(missing_ok=True)
    if _has_same_files(places.folder, manifest):
        current = manifests.read(places.folder)
        manifests.write(partial, replace(manifest, files=current.files))
        (partial / MANIFEST).replace(places.folder / MANIFEST)
        remove(partial)
        return
    places.folder.parent.mkdir(parents=True, exist_ok=True)
    remove(places.old)
    if os.path.lexists(places.folder):
        places.folder.rename(places.old)
    partial.rename(places.folder)
    _sync_folder(places.folder.parent)
    remove(places.old)


def _has_same_files(folder: Path, manifest: Manifest) -> bool:
    try:
        current = manifests.read(folder)
        current.check(folder, thoroughly=True)  # what is redone may be redone because it went bad unnoticed
    except Damaged:
        return False
    return current.same_files(manifest)


def _remove_leftovers(places: Places) -> None:
    """What a maker left that was killed when all was done but the tidying, unless another one is at work."""
    with suppress(OSError), suppress(TimeoutError), FileLock(places.lock, timeout=0, mode=0o666):
        for left in places.partials():
            remove(left)


def _remove_as_far_as_possible(path: Path) -> None:
    """What a tool that outlived its run still writes to is left; nobody looks into that folder again."""
    with suppress(OSError):
        remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Artifacts by key: made once under a lock in a partial folder, fsynced, renamed, verified before use.

<root>/<stage>/<key>/                a finished artifact: its files and artifact.json, touched on every use
<root>/partial/<stage>-<key>.<id>/   an artifact being made; each attempt has its own folder, since a tool may
                                     outlive its run
<root>/partial/<stage>-<key>.<user>/ the same, for a stage that resumes an interrupted attempt of the same user (uid)
<root>/partial/<stage>-<key>.old/    an artifact that is being replaced or pruned
<root>/locks/<stage>-<key>.lock      held by the process that makes the artifact
<root>/in_use/<stage>-<key>          share-locked by every run that has pinned the artifact, until the run ends
<root>/hashes/                       digests of input files (runner.core.hashing)
<root>/libraries/                    cached metadata of networks in timm and torchvision (runner.config.libraries)
<root>/batches/                      batch sizes inferred so far by each run (runner.pipeline.invariance)
<root>/checked/                      that locks and renames were tried in this folder (runner.store.trial)

The kernel releases both locks when a process dies. `python -m runner.cache` removes only what it can lock
exclusively.

Others may write the store, too. No link is followed below the root, no FIFO or device is opened, and only what trusted
users own is used (runner.core.shared_folders); a folder in which an artifact is made is the maker's alone.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, TypeVar

from filelock import FileLock

from runner.core import (
    Artifact,
    Command,
    FileHashes,
    StoreError,
    as_store_errors,
    flaw_of,
    locks,
    make_folder,
)
from runner.store import manifests, trial
from runner.store.manifests import MANIFEST, Damaged
from runner.store.slots import Slot, is_own, put_in_place, remove_as_far_as_possible, remove_partials

OWN_FOLDERS = ("partial", "locks", "in_use", "hashes", "batches", "libraries", trial.FOLDER)
"""Folders of the root that contain no artifacts."""
LONGEST_KEY = 64
T = TypeVar("T", bound=Artifact)


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A finished artifact. `seconds` is how long making it took, `commands` the external programs that made it."""

    artifact: T
    seconds: float
    commands: tuple[Command, ...]


class Store:
    """Artifacts below `root`, by stage and key. `model` is recorded in new artifacts."""

    def __init__(self, root: Path, model: str = "") -> None:
        self.root = root
        self.model = model
        self.hash_files = FileHashes(root / "hashes")
        self._marks: dict[str, IO[bytes]] = {}
        self._staging: dict[str, Path] = {}

    def folder(self, name: str) -> Path:
        """Return one of OWN_FOLDERS, which is made if there is none.

        Raises:
            StoreError: it is a link, no folder, or another user's who is not trusted. OSError: it cannot be made.
        """
        make_folder(self.root / name, self.root)
        return self.root / name

    def get_or_make(
        self,
        stage: str,
        key: str,
        kind: type[T],
        make: Callable[[Path], tuple[T, Sequence[Command]]],
        *,
        force: bool = False,
        resumes: bool = False,
        notify: Callable[[str], None] = lambda message: None,
    ) -> tuple[Entry[T], bool]:
        """Return the pinned artifact and whether it was made now: `make(folder)` is called if no intact one is stored.

        `force` always makes it; a stored one with a flaw (runner.core.flaw_of) is made again where the store can be
        written. With `resumes`, `make` gets the folder left by an interrupted attempt, otherwise an empty one. `notify`
        is called when another process is making the artifact, and when a stored one is damaged or has a flaw.

        Raises:
            StoreError: the store cannot be read or written. Errors of `make` are passed on.
        """
        entry = self.pin(stage, key, kind)
        if entry is not None and not force and not self.flaw(entry):
            return entry, False
        with self.locked(stage, key, lambda: notify(f"{stage}: another run makes it; waiting")):
            if not force:
                entry = self.pin(stage, key, kind) or self.recover(stage, key, kind)
                flaw = self.flaw(entry) if entry is not None else ""
                if entry is not None and not flaw:
                    return entry, False
                if flaw:
                    notify(f"{stage}: the stored {flaw}; it is made again")
                damage = self.damage(stage, key, kind)
                if damage:
                    notify(f"{stage}: what was stored under {key} is damaged, {damage}; it is made again")
            folder = self.staging_folder(stage, key, resumes)
            start = time.perf_counter()
            try:
                artifact, commands = make(folder)
                return self.publish(stage, key, artifact, time.perf_counter() - start, commands), True
            except StoreError:
                if not resumes:
                    self.discard(stage, key)  # a partial artifact takes disk space that may be needed
                raise

    def find(self, stage: str, key: str, kind: type[T]) -> Entry[T] | None:
        """Return the finished artifact, or None if there is no intact one.

        It may be pruned at any time; see `pin`.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            return self._read(self._slot(stage, key), kind)
        except Damaged:
            return None

    def pin(self, stage: str, key: str, kind: type[T]) -> Entry[T] | None:
        """Pin the key and return find(): `runner.cache prune` skips it until close(), even if it does not exist yet."""
        slot = self._slot(stage, key)
        self._mark(slot)
        entry = self.find(stage, key, kind)
        if entry is not None:
            with suppress(OSError):  # a read-only store records no use
                os.utime(slot.folder / MANIFEST, follow_symlinks=False)
            if slot.partials():
                remove_partials(slot)
        return entry

    def close(self) -> None:
        """Unpin everything."""
        for file in self._marks.values():
            file.close()
        self._marks.clear()

    def flaw(self, entry: Entry[T]) -> str:
        """Return why an artifact must be made again; empty in a store that is only read, which is used as it is."""
        return flaw_of(entry.artifact) if os.access(self.root, os.W_OK) else ""

    def damage(self, stage: str, key: str, kind: type[T]) -> str | None:
        """Return how a stored artifact is damaged; None if it is intact or not stored."""
        slot = self._slot(stage, key)
        try:
            self._read(slot, kind)
        except Damaged as damaged:
            return str(damaged) if os.path.lexists(slot.folder) else None
        return None

    @contextmanager
    def locked(self, stage: str, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the lock for making this artifact; call `waiting` once if another process holds it."""
        path = self._slot(stage, key).lock
        with as_store_errors(path):
            make_folder(path.parent, self.root)
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

    def recover(self, stage: str, key: str, kind: type[T]) -> Entry[T] | None:
        """Publish an artifact that was complete when its process died before the rename; None if there is none."""
        slot = self._slot(stage, key)
        with as_store_errors(slot.folder):
            for partial in slot.partials():
                try:
                    manifest = manifests.read(partial, self.root)
                    manifest.artifact_in(partial, kind)
                    manifest.check(partial)
                except Damaged:
                    continue
                if partial != slot.old:
                    put_in_place(slot, partial, manifest)
                    return self.find(stage, key, kind)
        return None

    def staging_folder(self, stage: str, key: str, resumes: bool) -> Path:
        """Return the folder to make the artifact in; empty, unless `resumes` continues an interrupted attempt."""
        slot = self._slot(stage, key)
        path = slot.resumed if resumes else slot.new_partial()
        with as_store_errors(path):
            make_folder(path.parent, self.root)
            for left in slot.partials():
                if left != path or not is_own(left):
                    remove_as_far_as_possible(left)
            if os.path.lexists(path) and not is_own(path):  # another's, in a folder that lets only owners remove
                path = slot.new_partial()
            path.mkdir(mode=0o700, exist_ok=resumes)
            path.chmod(0o700 | path.stat().st_mode & stat.S_ISGID)
        self._staging[slot.name] = path
        return path

    def discard(self, stage: str, key: str) -> None:
        """Remove the staging folder."""
        remove_as_far_as_possible(self._staging[self._slot(stage, key).name])

    def publish(self, stage: str, key: str, artifact: T, seconds: float, commands: Sequence[Command] = ()) -> Entry[T]:
        """Turn the staging folder into the finished artifact, by a single rename."""
        slot = self._slot(stage, key)
        partial = self._staging[slot.name]
        with as_store_errors(partial):
            manifest = manifests.describe(
                partial, artifact, model=self.model, made_at=time.time(), seconds=seconds, commands=commands
            )
            manifests.write(partial, manifest)
            put_in_place(slot, partial, manifest)
        entry = self.find(stage, key, type(artifact))
        if entry is None:
            raise StoreError(f"{slot.folder} cannot be read back", "check the disk that holds cache_dir")
        return entry

    def _slot(self, stage: str, key: str) -> Slot:
        return Slot(self.root, stage, key)

    def _read(self, slot: Slot, kind: type[T]) -> Entry[T]:
        with as_store_errors(slot.folder):
            manifest = manifests.read(slot.folder, self.root)
            artifact = manifest.artifact_in(slot.folder, kind)
            manifest.check(slot.folder, thoroughly=bool(self.root.stat().st_mode & stat.S_IWOTH))
        return Entry(artifact, manifest.seconds, manifest.commands)

    def _mark(self, slot: Slot) -> None:
        if slot.name in self._marks:
            return
        # A store that is not writable cannot be pruned by this user either; making an artifact in it raises.
        with suppress(OSError):
            make_folder(slot.mark.parent, self.root)
            self._marks[slot.name] = locks.hold_shared(slot.mark)

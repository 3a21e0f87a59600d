"""Where an artifact lies in a store, finished and unfinished, and its move from one to the other."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from runner.core import entries_in, make_folder
from runner.store import manifests
from runner.store.manifests import MANIFEST, Damaged, Manifest


@dataclass(frozen=True)
class Slot:
    """The paths of an artifact: its folder, lock, mark and unfinished folders."""

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
        return self.root / "partial" / f"{self.name}.{os.geteuid()}"

    @property
    def old(self) -> Path:
        return self.root / "partial" / f"{self.name}.old"

    def new_partial(self) -> Path:
        """Return a path of its own for another attempt to make it."""
        return self.root / "partial" / f"{self.name}.{uuid.uuid4().hex}"

    def partials(self) -> list[Path]:
        """Return all its unfinished folders, including the replaced one."""
        return [path for path in entries_in(self.resumed.parent, self.root) if path.name.partition(".")[0] == self.name]

    @property
    def lock(self) -> Path:
        return self.root / "locks" / f"{self.name}.lock"

    @property
    def mark(self) -> Path:
        return self.root / "in_use" / self.name


def slot_of(root: Path, path: Path) -> Slot:
    """Return the slot of the artifact that a partial folder, a lock or a mark belongs to."""
    stage, _, key = path.name.partition(".")[0].partition("-")
    return Slot(root, stage, key)


def put_in_place(slot: Slot, partial: Path, manifest: Manifest) -> None:
    """Move the finished partial folder to the artifact's place.

    If the same files are there already, only the manifest is replaced, so that readers are not disturbed.
    """
    for note in manifests.notes_of(partial):
        note.unlink(missing_ok=True)
    stored = _with_same_files(slot, manifest)
    if stored is not None:
        manifests.write(partial, replace(manifest, files=stored.files))
        (partial / MANIFEST).replace(slot.folder / MANIFEST)
        remove(partial)
        return
    make_folder(slot.folder.parent, slot.root)
    partial.chmod(0o777 & ~_umask() | partial.stat().st_mode & stat.S_ISGID)
    remove(slot.old)
    if os.path.lexists(slot.folder):
        slot.folder.rename(slot.old)
    partial.rename(slot.folder)
    _sync_folder(slot.folder.parent)
    remove(slot.old)


def _with_same_files(slot: Slot, manifest: Manifest) -> Manifest | None:
    """Return the manifest of the artifact that is in place; None unless it is intact and has the same files."""
    try:
        stored = manifests.read(slot.folder, slot.root)
        if not stored.same_files(manifest):
            return None
        stored.check(slot.folder, thoroughly=True)  # it may be redone because of unnoticed corruption
    except Damaged:
        return None
    return stored


def is_own(path: Path) -> bool:
    """Return whether a path is a folder of this user's, and no link."""
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def remove_partials(slot: Slot) -> None:
    """Remove partial folders left by a process killed before its cleanup, unless another process holds the lock."""
    with suppress(OSError, TimeoutError):
        make_folder(slot.lock.parent, slot.root)
        with FileLock(slot.lock, timeout=0, mode=0o666):
            for left in slot.partials():
                remove(left)


def remove_as_far_as_possible(path: Path) -> None:
    """Remove a path if possible; a folder that a tool is still writing to is left, and never read again."""
    with suppress(OSError):
        remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
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

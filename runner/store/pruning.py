"""Removal from a store: only what can be locked exclusively, so nothing that a run is using."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from runner.core import (
    PARTIAL_SUFFIX,
    StoreError,
    as_store_errors,
    entries_in,
    locks,
    make_folder,
    read_regular,
    remove_broken_write,
)
from runner.store import trial
from runner.store.inventory import Listed
from runner.store.slots import Slot, remove, slot_of
from runner.store.store import LONGEST_KEY


def remove_artifacts(root: Path, artifacts: Iterable[Listed]) -> tuple[list[Listed], list[Listed]]:
    """Remove artifacts; return those removed, and those kept because a run has pinned them since.

    A run locks an artifact's mark before it looks the artifact up, so no run can use the artifact while the mark is
    locked exclusively here.

    Raises:
        StoreError: the store cannot be written, or is on a file system without locks.
    """
    removed: list[Listed] = []
    kept: list[Listed] = []
    for artifact in artifacts:
        slot = Slot(root, artifact.stage, artifact.key)
        with as_store_errors(slot.folder):
            (removed if _remove_artifact(slot) else kept).append(artifact)
    return removed, kept


def remove_leftovers(root: Path, hashes_unused_since: float | None = None) -> list[Path]:
    """Remove leftovers of dead processes and return those worth reporting: folders of unfinished artifacts.

    Silently removes locks and marks of missing artifacts, partial files, notes of batches whose outputs are gone, and
    digests of input files last written before `hashes_unused_since`.

    Raises:
        StoreError: the store cannot be written, or is on a file system without locks.
    """
    with as_store_errors(root):
        unfinished = [path for path in entries_in(root / "partial", root) if _remove_unfinished(root, path)]
        for path in (*entries_in(root / "locks", root), *entries_in(root / "in_use", root)):
            _remove_if_orphaned(root, path)
        _remove_notes_of_batches(root)
        _remove_trials(root)
        for name in ("hashes", "libraries"):
            _remove_broken_writes(root / name, root)
        if hashes_unused_since is not None:
            _remove_hashes(root, hashes_unused_since)
    return unfinished


def _remove_artifact(slot: Slot) -> bool:
    make_folder(slot.mark.parent, slot.root)
    locks.hold_shared(slot.mark).close()  # makes it
    with ExitStack() as held:
        if not _hold(held, slot.mark):
            return False
        remove(slot.old)
        make_folder(slot.old.parent, slot.root)
        with suppress(FileNotFoundError):
            slot.folder.rename(slot.old)
        remove(slot.old)
        slot.mark.unlink(missing_ok=True)
    return True


def _remove_unfinished(root: Path, path: Path) -> bool:
    slot = slot_of(root, path)
    with ExitStack() as held:
        for lock in (slot.mark, slot.lock):
            if lock.exists() and not _hold(held, lock):
                return False
        remove(path)
    return True


def _remove_if_orphaned(root: Path, path: Path) -> None:
    """Remove a lock without an artifact. A process waiting for it notices the removal and creates a new one."""
    slot = slot_of(root, path)
    with ExitStack() as held:
        if not slot.folder.exists() and not slot.partials() and _hold(held, path):
            path.unlink(missing_ok=True)


def _hold(held: ExitStack, path: Path) -> bool:
    file = locks.try_alone(path)
    if file is not None:
        held.enter_context(file)
    return file is not None


def _is_of_an_artifact(root: Path, note: Path) -> bool:
    """Return whether the artifact whose key a note holds is stored."""
    try:
        key = read_regular(note, LONGEST_KEY, root).decode()
    except (OSError, UnicodeDecodeError):
        return False
    return Slot(root, "infer", key).folder.exists()


def _remove_broken_writes(folder: Path, root: Path) -> None:
    for path in entries_in(folder, root):
        if path.name.startswith(".") and path.name.endswith(PARTIAL_SUFFIX):
            remove_broken_write(path)


def _remove_hashes(root: Path, unused_since: float) -> None:
    for path in entries_in(root / "hashes", root):
        with suppress(FileNotFoundError):  # a run has just renamed it into place
            if path.lstat().st_mtime < unused_since:
                path.unlink()


def _remove_notes_of_batches(root: Path) -> None:
    for run in entries_in(root / "batches", root):
        with suppress(StoreError):  # no folder, or another user's who is not trusted: left alone
            _remove_broken_writes(run, root)
            for note in entries_in(run, root):
                if not _is_of_an_artifact(root, note):
                    note.unlink(missing_ok=True)
            with suppress(OSError):
                run.rmdir()  # succeeds only if it is empty


def _remove_trials(root: Path) -> None:
    """Remove what killed trials have left; a running one holds its lock, which it makes first and removes first."""
    for path in entries_in(root / trial.FOLDER, root):
        lock = path / trial.LOCK
        with ExitStack() as held:
            if path.name.startswith(".") and (_hold(held, lock) or not lock.exists()):
                remove(path)

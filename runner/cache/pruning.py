"""What is removed from a store, and how: only what can be held alone, so nothing that a running job has taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from runner import locks
from runner.cache import inventory
from runner.cache.inventory import Listed
from runner.hashing import PARTIAL_SUFFIX, remove_broken_write
from runner.refusals import told
from runner.store import Places, remove


def remove_artifacts(root: Path, artifacts: Iterable[Listed]) -> tuple[list[Listed], list[Listed]]:
    """Those that were removed, and those that a run has taken since they were listed.

    A run marks an artifact before it looks for it: once the mark is held alone, and until it is let go, no run can
    take the artifact.

    Raises:
        StoreError: the store cannot be written, or lies on a file system without locks.
    """
    removed: list[Listed] = []
    kept: list[Listed] = []
    for one in artifacts:
        places = Places(root, one.stage, one.key)
        with told(places.folder):
            (removed if _remove_artifact(places) else kept).append(one)
    return removed, kept


def remove_leftovers(root: Path, hashes_unused_since: float | None = None) -> list[Path]:
    """Remove what the dead have left, and return what was worth naming: the folders of unfinished artifacts.

    Locks and marks of artifacts that there are no more, broken writes, notes of batches whose outputs are gone, and
    digests of input files that were last written before `hashes_unused_since`, go without a word.

    Raises:
        StoreError: the store cannot be written, or lies on a file system without locks.
    """
    with told(root):
        unfinished = [path for path in _inside(root / "partial") if _remove_unfinished(root, path)]
        for path in (*root.glob(f"hashes/.*{PARTIAL_SUFFIX}"), *root.glob(f"batches/*/.*{PARTIAL_SUFFIX}")):
            remove_broken_write(path)
        for path in (*_inside(root / "locks"), *_inside(root / "in_use")):
            _remove_if_orphaned(root, path)
        _remove_notes_of_batches(root)
        for path in _inside(root / "hashes"):
            if hashes_unused_since is not None and path.stat().st_mtime < hashes_unused_since:
                path.unlink(missing_ok=True)
    return unfinished


def _remove_artifact(places: Places) -> bool:
    places.mark.parent.mkdir(parents=True, exist_ok=True)
    places.mark.touch()
    with ExitStack() as held:
        if not _hold(held, places.mark):
            return False
        remove(places.old)
        places.old.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            places.folder.rename(places.old)
        remove(places.old)
        places.mark.unlink(missing_ok=True)
    return True


def _remove_unfinished(root: Path, path: Path) -> bool:
    places = inventory.places_of(root, path)
    with ExitStack() as held:
        for lock in (places.mark, places.lock):
            if lock.exists() and not _hold(held, lock):
                return False
        remove(path)
    return True


def _remove_if_orphaned(root: Path, path: Path) -> None:
    """Whoever waits for a lock that was removed finds that out when he gets it, and makes another."""
    places = inventory.places_of(root, path)
    with ExitStack() as held:
        if not places.folder.exists() and not places.partials() and _hold(held, path):
            path.unlink(missing_ok=True)


def _hold(held: ExitStack, path: Path) -> bool:
    file = locks.try_alone(path)
    if file is not None:
        held.enter_context(file)
    return file is not None


def _remove_notes_of_batches(root: Path) -> None:
    for run in _inside(root / "batches"):
        for note in _inside(run):
            if not Places(root, "infer", note.read_text(errors="replace")).folder.exists():
                note.unlink(missing_ok=True)
        with suppress(OSError):
            run.rmdir()  # which is done where nothing is left in it


def _inside(folder: Path) -> Sequence[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []

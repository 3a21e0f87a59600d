"""What lies in a store: its artifacts, who uses them, what the dead have left, and what is none of its."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner import locks, manifests
from runner.manifests import MANIFEST, Damaged
from runner.plan import STAGES
from runner.refusals import told
from runner.store import Places

KEPT_FOR_STAGES = (*STAGES, "invariance")
OWN_FOLDERS = ("partial", "locks", "in_use", "hashes", "batches", "libraries")


@dataclass(frozen=True)
class Listed:
    """An artifact. Times are seconds since the epoch; `damage` is why no run would take it, None where one would."""

    stage: str
    key: str
    size_bytes: int
    made_at: float | None
    used_at: float
    model: str
    in_use: bool
    damage: str | None


@dataclass(frozen=True)
class Inventory:
    """`unfinished` are folders of artifacts that were not finished, with whether someone is at work in them."""

    artifacts: tuple[Listed, ...]
    unfinished: tuple[tuple[Path, bool], ...]
    foreign: tuple[Path, ...]

    @property
    def size_bytes(self) -> int:
        """Of all artifacts."""
        return sum(one.size_bytes for one in self.artifacts)


def take(root: Path) -> Inventory:
    """Look through the store; an artifact's files are not read.

    Raises:
        StoreError: it cannot be read.
    """
    artifacts: list[Listed] = []
    foreign: list[Path] = []
    with told(root):
        for top in _inside(root):
            if top.name not in OWN_FOLDERS:
                listed, others = _look_through(root, top)
                artifacts += listed
                foreign += others
        unfinished = [(path, is_held(places_of(root, path).lock)) for path in _inside(root / "partial")]
    return Inventory(tuple(artifacts), tuple(unfinished), tuple(foreign))


def is_held(path: Path) -> bool:
    """Whether a process that lives holds the lock, shared or alone."""
    held = locks.try_alone(path)
    if held is None:
        return path.exists()
    held.close()
    return False


def places_of(root: Path, path: Path) -> Places:
    """Of the artifact that a partial folder, a lock or a mark is for."""
    stage, _, key = path.name.partition(".")[0].partition("-")
    return Places(root, stage, key)


def damage(root: Path, one: Listed) -> str | None:
    """Why an artifact is not as it was made, after reading all of it; None where it is, or where it is gone."""
    folder = Places(root, one.stage, one.key).folder
    with told(folder):
        try:
            manifests.read(folder).check(folder, thoroughly=True)
        except Damaged as damaged:
            return str(damaged) if os.path.lexists(folder) else None
    return None


def to_prune(
    artifacts: Sequence[Listed], now: float, to_bytes: int | None, older_than_seconds: float | None
) -> list[Listed]:
    """What has to go, the least recently used first, and nothing that is in use.

    That is what was not used for `older_than_seconds`, and as much more as brings the rest down to `to_bytes`.
    """
    left_bytes = sum(one.size_bytes for one in artifacts)
    chosen = []
    for one in sorted(artifacts, key=lambda one: (one.used_at, one.stage, one.key)):
        too_old = older_than_seconds is not None and now - one.used_at > older_than_seconds
        too_much = to_bytes is not None and left_bytes > to_bytes
        if (too_old or too_much) and not one.in_use:
            chosen.append(one)
            left_bytes -= one.size_bytes
    return chosen


def _look_through(root: Path, top: Path) -> tuple[list[Listed], list[Path]]:
    """The artifacts in a folder of the store's, and what is none of it."""
    if not top.is_dir() or top.is_symlink():
        return [], [top]
    listed = {path: _listed(Places(root, top.name, path.name)) for path in _inside(top)}
    artifacts = [one for one in listed.values() if one is not None]
    others = [path for path, one in listed.items() if one is None]
    return artifacts, others if artifacts or top.name in KEPT_FOR_STAGES else [top]


def _listed(places: Places) -> Listed | None:
    """None for what the store has not put there."""
    folder = places.folder
    if not folder.is_dir() or (places.stage not in KEPT_FOR_STAGES and not (folder / MANIFEST).is_file()):
        return None
    model, made_at, damaged = "", None, None
    try:
        manifest = manifests.read(folder)
        model, made_at = manifest.model, manifest.made_at
        manifest.check(folder)
    except Damaged as error:
        damaged = str(error)
    size_bytes, in_use = sum(_sizes(folder)), is_held(places.mark)
    return Listed(places.stage, places.key, size_bytes, made_at, _used_at(folder), model, in_use, damaged)


def _used_at(folder: Path) -> float:
    for path in (folder / MANIFEST, folder):
        with suppress(OSError):
            return path.stat().st_mtime
    return time.time()


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                yield path.lstat().st_size


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []

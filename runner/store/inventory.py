"""The contents of a store: artifacts, whether they are in use, leftovers of killed runs, and foreign files."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import as_store_errors, entries_in, entries_of, locks
from runner.store import manifests
from runner.store.manifests import MANIFEST, Damaged, OfAnotherVersion
from runner.store.slots import Slot, slot_of
from runner.store.store import OWN_FOLDERS

TELLING = ("origin", "opset", "soc", "batch", "count", "samples", "other_batch")
"""The fields of artifacts that tell them apart."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An artifact. Times are seconds since the epoch; `damage` is why runs would reject it, None if it is usable.

    `detail` tells artifacts of one stage and model apart, as in "soc=310P3 batch=8".
    """

    stage: str
    key: str
    size_bytes: int
    made_at: float | None
    used_at: float
    model: str
    detail: str
    in_use: bool
    damage: str | None


@dataclass(frozen=True)
class Inventory:
    """`unfinished` are folders of unfinished artifacts, each with whether a process is still writing to it."""

    artifacts: tuple[Listed, ...]
    unfinished: tuple[tuple[Path, bool], ...]
    foreign: tuple[Path, ...]

    @property
    def size_bytes(self) -> int:
        """The total size of all artifacts."""
        return sum(artifact.size_bytes for artifact in self.artifacts)


def take(root: Path, stages: Collection[str]) -> Inventory:
    """List the contents of the store, whose folders are named by `stages`; artifact files are not read.

    Raises:
        StoreError: it cannot be read.
    """
    artifacts: list[Listed] = []
    foreign: list[Path] = []
    with as_store_errors(root):
        for top in sorted(root.iterdir()) if root.exists() else ():  # a file is no store
            if top.name not in OWN_FOLDERS:
                listed, others = _look_through(root, top, stages)
                artifacts += listed
                foreign += others
        unfinished = [(path, is_held(slot_of(root, path).lock)) for path in entries_in(root / "partial", root)]
    return Inventory(tuple(artifacts), tuple(unfinished), tuple(foreign))


def is_held(path: Path) -> bool:
    """Return whether a running process holds the lock, shared or exclusive."""
    held = locks.try_alone(path)
    if held is None:
        return path.exists()
    held.close()
    return False


def damage(root: Path, artifact: Listed) -> str | None:
    """Read a whole artifact and return how it is damaged; None if it is intact, gone or another version's."""
    folder = Slot(root, artifact.stage, artifact.key).folder
    with as_store_errors(folder):
        try:
            manifests.read(folder, root).check(folder, thoroughly=True)
        except OfAnotherVersion:
            return None
        except Damaged as damaged:
            return str(damaged) if os.path.lexists(folder) else None
    return None


def to_prune(
    artifacts: Sequence[Listed], now: float, to_bytes: int | None, older_than_seconds: float | None
) -> list[Listed]:
    """Return the artifacts to prune, least recently used first, excluding those in use.

    Prunes those not used for `older_than_seconds`, then as many more as needed to get down to `to_bytes`.
    """
    left_bytes = sum(artifact.size_bytes for artifact in artifacts)
    chosen = []
    for artifact in sorted(artifacts, key=lambda artifact: (artifact.used_at, artifact.stage, artifact.key)):
        too_old = older_than_seconds is not None and now - artifact.used_at > older_than_seconds
        too_much = to_bytes is not None and left_bytes > to_bytes
        if (too_old or too_much) and not artifact.in_use:
            chosen.append(artifact)
            left_bytes -= artifact.size_bytes
    return chosen


def _look_through(root: Path, top: Path, stages: Collection[str]) -> tuple[list[Listed], list[Path]]:
    """Return the artifacts in a top-level folder of the store, and foreign files."""
    if not top.is_dir() or top.is_symlink():
        return [], [top]
    by_path = {path: _listed(Slot(root, top.name, path.name), stages) for path in entries_of(top)}
    artifacts = [artifact for artifact in by_path.values() if artifact is not None]
    others = [path for path, artifact in by_path.items() if artifact is None]
    return artifacts, others if artifacts or top.name in stages else [top]


def _listed(slot: Slot, stages: Collection[str]) -> Listed | None:
    """Describe an artifact; return None for a foreign file."""
    folder = slot.folder
    if not folder.is_dir() or (slot.stage not in stages and not (folder / MANIFEST).is_file()):
        return None
    model, detail, made_at, damaged = "", "", None, None
    try:
        manifest = manifests.read(folder, slot.root)
        model, detail, made_at = manifest.model, _detail(manifest.artifact), manifest.made_at
        manifest.check(folder)
    except OfAnotherVersion:
        detail = "another version's"
    except Damaged as error:
        damaged = str(error)
    return Listed(
        stage=slot.stage,
        key=slot.key,
        size_bytes=sum(_sizes(folder)),
        made_at=made_at,
        used_at=_used_at(folder),
        model=model,
        detail=detail,
        in_use=is_held(slot.mark),
        damage=damaged,
    )


def _detail(artifact: Any) -> str:
    """Return the fields of an artifact, as builtins, that say what it is of."""
    known = artifact if isinstance(artifact, dict) else {}
    return " ".join(f"{name}={known[name]}" for name in TELLING if known.get(name) is not None)


def _used_at(folder: Path) -> float:
    for path in (folder / MANIFEST, folder):
        with suppress(OSError):
            return path.stat().st_mtime
    return time.time()


def _sizes(folder: Path) -> Iterator[int]:
    for parent, _, names in os.walk(folder):  # unlike rglob, it takes no offence at what another process removes
        for name in names:
            with suppress(OSError):
                yield (Path(parent) / name).lstat().st_size

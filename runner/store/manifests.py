"""artifact.json in an artifact's folder: a description, the digests of all files, and its own digest.

Scores and Timing are stored in the manifest itself; its own digest detects their corruption.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any, TypeVar

import msgspec

from runner.core import (
    JSON_ERRORS,
    NOTE_SUFFIX,
    PARTIAL_SUFFIX,
    Artifact,
    Command,
    Stat,
    distrust,
    path_decoder,
    path_encoder,
    read_regular,
    sha256_of,
    stat_of,
    write_atomically,
)

SCHEMA = 2
"""The format of stored artifacts; part of their keys, so that versions with different ones share a store."""
MANIFEST = "artifact.json"
MOST_BYTES = 1 << 30
"""Of a manifest: the raw latencies of a measurement are in it."""
T = TypeVar("T", bound=Artifact)

_DAMAGE = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EFBIG, errno.ELOOP, errno.EIO, errno.ESTALE}
)
"""Errors of reading a damaged artifact; others are the environment's, and the artifact may be intact."""


class Damaged(Exception):
    """The stored artifact is damaged; the message says how."""


class OfAnotherVersion(Damaged):
    """The stored artifact has another version's format, which this one cannot judge."""


@dataclass(frozen=True)
class StoredFile:
    """A file of an artifact: its digest, and its stat when that digest was last verified."""

    sha256: str
    stat: Stat


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`artifact` as builtins, with paths relative to the folder; made at `made_at` by a run of `model`.

    `seconds` is how long making it took, `commands` are the external programs that made it.
    """

    schema: int
    model: str
    made_at: float
    seconds: float
    commands: tuple[Command, ...]
    files: dict[str, StoredFile]
    artifact: Any

    def artifact_in(self, folder: Path, kind: type[T]) -> T:
        """Return the artifact itself. Raises Damaged if it is not of this kind."""
        try:
            return msgspec.convert(self.artifact, kind, dec_hook=path_decoder(folder))
        except msgspec.MsgspecError as error:
            raise Damaged(f"{MANIFEST} holds no {kind.__name__}: {error}") from error

    def check(self, folder: Path, thoroughly: bool = False) -> None:
        """Raise Damaged unless all files are as they were written; files whose stat changed are read.

        `thoroughly` reads every file, since corruption on the disk does not change the stat.
        """
        for name, stored in self.files.items():
            with _reading(name):
                if not S_ISREG((folder / name).lstat().st_mode):
                    raise Damaged(f"{name} is no regular file")
                stat = stat_of(folder / name)
                if stat[0] != stored.stat[0]:
                    raise Damaged(f"{name} has {stat[0]} bytes, not {stored.stat[0]}")
                if (thoroughly or stat != stored.stat) and sha256_of(folder / name) != stored.sha256:
                    raise Damaged(f"{name} has other bytes than were stored")

    def same_files(self, other: Manifest) -> bool:
        """Return whether both list files of the same names and contents."""
        return {name: stored.sha256 for name, stored in self.files.items()} == {
            name: stored.sha256 for name, stored in other.files.items()
        }


def read(folder: Path, root: Path | None = None) -> Manifest:
    """Read the manifest of an artifact's folder; in a store `root`, only where its owner is trusted (shared_folders).

    Raises:
        Damaged: there is no valid one.
        OSError: the operating system refuses to read it.
    """
    with _reading(MANIFEST):
        reason = "" if root is None else distrust(folder, root) or distrust(folder.parent, root)
        if reason:
            raise Damaged(f"its folder {reason}")
        data = read_regular(folder / MANIFEST, MOST_BYTES, root)
    try:
        fields = msgspec.json.decode(data, type=dict[str, Any])
        if fields.get("schema", SCHEMA) != SCHEMA:
            raise OfAnotherVersion("it is another version's")
        if fields.pop("sha256", None) != _digest(fields):
            raise Damaged(f"{MANIFEST} has other bytes than were stored")
        return msgspec.convert(fields, Manifest)
    except JSON_ERRORS as error:
        raise Damaged(f"{MANIFEST} cannot be read: {error}") from error


def describe(
    folder: Path, artifact: Artifact, *, model: str, made_at: float, seconds: float, commands: Sequence[Command]
) -> Manifest:
    """Return a manifest of the files in `folder`; flush every file to the disk."""
    files = {path.relative_to(folder).as_posix(): path for path in files_of(folder)}
    return Manifest(
        schema=SCHEMA,
        model=model,
        made_at=made_at,
        seconds=seconds,
        commands=tuple(commands),
        files={name: StoredFile(sha256_of(path), _synced_stat(path)) for name, path in files.items()},
        artifact=msgspec.to_builtins(artifact, enc_hook=path_encoder(folder)),
    )


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest atomically."""
    fields = msgspec.to_builtins(manifest)
    data = msgspec.json.encode(fields | {"sha256": _digest(fields)})
    write_atomically(folder / MANIFEST, msgspec.json.format(data, indent=1))


def files_of(folder: Path) -> list[Path]:
    """Return the artifact's files: all except the manifest, progress notes and partial files."""
    others = {folder / MANIFEST, *notes_of(folder)}
    return sorted(path for path in folder.rglob("*") if S_ISREG(path.lstat().st_mode) and path not in others)


def notes_of(folder: Path) -> list[Path]:
    """Return the files to remove before the artifact is finished: progress notes and partial files."""
    return [*folder.rglob(f"*{NOTE_SUFFIX}"), *folder.rglob(f".*{PARTIAL_SUFFIX}")]


def _digest(fields: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(fields, order="deterministic")).hexdigest()


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Raise Damaged if a file is missing or unreadable."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DAMAGE:
            raise
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        raise Damaged(f"{name} {'is missing' if missing else f'cannot be read: {error.strerror}'}") from error
    except ValueError as error:  # a name with a NUL
        raise Damaged(f"{name!r} is no name of a file") from error


def _synced_stat(path: Path) -> Stat:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return stat_of(path)

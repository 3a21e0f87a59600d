"""artifact.json, which lies beside an artifact's files: what it is, the digests of all files, and the manifest's own.

Its own is what notices a changed bit of an artifact that has no files, as scores and latencies.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from runner.artifacts import Artifact
from runner.hashing import PARTIAL_SUFFIX, Stat, sha256_of, stat_of, write_atomically
from runner.tools import Command

SCHEMA = 2
MANIFEST = "artifact.json"
NOTE_SUFFIX = ".note"
"""Of files in which a maker keeps how far it is, for going on after a broken try; they are no part of the artifact."""
T = TypeVar("T", bound=Artifact)

_SPOILT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EIO, errno.ESTALE})
"""What opening or reading a damaged artifact gives; other errors are the machine's, and the artifact may be whole."""


class Damaged(Exception):
    """What lies there is no finished artifact any more; the text says why."""


@dataclass(frozen=True)
class StoredFile:
    """A file of an artifact: its digest, and its stat when it was last known to have that digest."""

    sha256: str
    stat: Stat


@dataclass(frozen=True)
class Manifest:
    """`artifact` in builtins, its paths relative to the folder. `model` is the one whose run made it, at `made_at`.

    `seconds` is what making it took, `commands` the external programs that made it.
    """

    schema: int
    model: str
    made_at: float
    seconds: float
    commands: tuple[Command, ...]
    files: dict[str, StoredFile]
    artifact: Any

    def artifact_in(self, folder: Path, kind: type[T]) -> T:
        """The artifact itself. Raises Damaged where it is none of this kind."""
        try:
            return msgspec.convert(self.artifact, kind, dec_hook=_resolver(folder))
        except msgspec.MsgspecError as error:
            raise Damaged(f"{MANIFEST} holds no {kind.__name__}: {error}") from error

    def check(self, folder: Path, thoroughly: bool = False) -> None:
        """Raise Damaged unless all files are as they were written; a file that was touched is read.

        `thoroughly` reads every file: bytes that went bad on the disk leave no trace outside of them.
        """
        for name, stored in self.files.items():
            with _reading(name):
                stat = stat_of(folder / name)
                if stat[0] != stored.stat[0]:
                    raise Damaged(f"{name} has {stat[0]} bytes, not {stored.stat[0]}")
                if (thoroughly or stat != stored.stat) and sha256_of(folder / name) != stored.sha256:
                    raise Damaged(f"{name} has other bytes than were stored")

    def same_files(self, other: Manifest) -> bool:
        """Whether both are of the same names and bytes."""
        return {name: stored.sha256 for name, stored in self.files.items()} == {
            name: stored.sha256 for name, stored in other.files.items()
        }


def read(folder: Path) -> Manifest:
    """The manifest of an artifact's folder.

    Raises:
        Damaged: there is none that can be trusted.
        OSError: the machine does not let it be read.
    """
    with _reading(MANIFEST):
        data = (folder / MANIFEST).read_bytes()
    try:
        fields = msgspec.json.decode(data, type=dict[str, Any])
        if fields.get("schema", SCHEMA) != SCHEMA:
            raise Damaged("it is another version's")
        if fields.pop("sha256", None) != _digest(fields):
            raise Damaged(f"{MANIFEST} has other bytes than were stored")
        return msgspec.convert(fields, Manifest)
    except msgspec.MsgspecError as error:
        raise Damaged(f"{MANIFEST} cannot be read: {error}") from error


def describe(folder: Path, artifact: Artifact, model: str, made_at: float, seconds: float) -> Manifest:
    """The manifest of what lies in `folder`, made by no commands; every file is flushed to the disk."""
    files = {path.relative_to(folder).as_posix(): path for path in files_of(folder)}
    return Manifest(
        SCHEMA,
        model,
        made_at,
        seconds,
        (),
        {name: StoredFile(sha256_of(path), _synced_stat(path)) for name, path in files.items()},
        msgspec.to_builtins(artifact, enc_hook=_relativiser(folder)),
    )


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, whole or not at all."""
    fields = msgspec.to_builtins(manifest)
    data = msgspec.json.encode(fields | {"sha256": _digest(fields)})
    write_atomically(folder / MANIFEST, msgspec.json.format(data, indent=1))


def files_of(folder: Path) -> list[Path]:
    """The artifact's files: all but the manifest, notes, and what a broken write left."""
    others = {folder / MANIFEST, *notes_of(folder)}
    return sorted(path for path in folder.rglob("*") if path.is_file() and path not in others)


def notes_of(folder: Path) -> list[Path]:
    """What is to go before the artifact is finished."""
    return [*folder.rglob(f"*{NOTE_SUFFIX}"), *folder.rglob(f".*{PARTIAL_SUFFIX}")]


def _digest(fields: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(fields, order="deterministic")).hexdigest()


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Damaged where a file is not there, or not readable as such."""
    try:
        yield
    except OSError as error:
        if error.errno not in _SPOILT:
            raise
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        raise Damaged(f"{name} {'is missing' if missing else f'cannot be read: {error.strerror}'}") from error


def _synced_stat(path: Path) -> Stat:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return stat_of(path)


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

"""The files beside an ONNX model that hold its weights, found in the model's bytes without loading it.

Most runs only have to know whether these files are those of an earlier run, which takes neither the weights nor onnx.
"""

from __future__ import annotations

import hashlib
import mmap
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from runner.core import ExportError, check_regular, protobuf, sha256_of

FIELDS: Mapping[str, Mapping[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        10: "TensorProto",
        6: "GraphProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "TensorProto": {13: "StringStringEntryProto"},
}
"""Message -> number of a field -> the message in it, where that leads to weights in other files: onnx/onnx.proto."""
_KEY, _VALUE = 1, 2
"""Fields of StringStringEntryProto."""


def locations(path: Path) -> list[str]:
    """Return the files with a model's weights, relative to its folder, as the model names them; not checked.

    Of a file that is no model, what is found before the fault: who loads the model judges it.

    Raises:
        OSError: the file cannot be read.
    """
    check_regular(path)
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as data:
            return sorted(set(_locations(data)))


def check(path: Path, named: Iterable[str | bytes]) -> None:
    """Check that the files that a model names for its weights lie in its own folder or below it.

    Raises:
        ExportError: one is elsewhere, missing, reached by a link, or no regular file.
    """
    for location in named:
        fault = "is not in its own folder" if not is_below(location) else _fault(path.parent, str(location))
        if fault:
            raise ExportError(
                f"{path} wants weights from {location!r}, which {fault}",
                "put the file itself beside the model, under that name",
            )


def is_below(location: str | bytes) -> bool:
    """Return whether a location is a path downwards; protobuf returns bytes for invalid UTF-8."""
    if isinstance(location, bytes) or "\0" in location:
        return False
    place = PurePosixPath(location)
    return bool(place.parts) and not place.is_absolute() and ".." not in place.parts


def digest(path: Path, hash_files: Callable[[Path, Sequence[Path]], Sequence[str]] | None = None) -> str:
    """Return the SHA-256 of a model's file, or of the digests of it and of the files with its weights.

    Args:
        hash_files: The digests of files, given their folder and their paths below it; each is read if it is left out.

    Raises:
        ExportError: a file with weights is not usable. OSError: one cannot be read.
    """
    beside = locations(path)
    check(path, beside)
    digests = (hash_files or _sha256_of_each)(path.parent, [Path(path.name), *map(Path, beside)])
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _sha256_of_each(folder: Path, files: Sequence[Path]) -> list[str]:
    return [sha256_of(folder / file) for file in files]


def _fault(folder: Path, location: str) -> str:
    """Return why a file below `folder` is not used, or nothing."""
    place, mode = folder, 0
    for part in PurePosixPath(location).parts:
        place /= part
        try:
            mode = place.lstat().st_mode
        except (OSError, ValueError) as error:
            return "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        if stat.S_ISLNK(mode):
            return "is reached by a link, and so is not in its own folder"
    return "" if stat.S_ISREG(mode) else "is no regular file"


def _locations(model: memoryview) -> Iterator[str]:
    """Yield the location of each tensor of a model that is in another file."""
    waiting = [("ModelProto", model)]
    while waiting:
        kind, message = waiting.pop()
        if kind == "StringStringEntryProto":
            entry = {number: bytes(value) for number, value in _messages(message)}
            if entry.get(_KEY) == b"location":
                yield entry.get(_VALUE, b"").decode(errors="surrogateescape")
        else:
            inner = FIELDS[kind]
            waiting += [(inner[number], value) for number, value in _messages(message) if number in inner]


def _messages(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and the bytes of each field that may hold a message, up to the first fault."""
    with suppress(ValueError):
        yield from ((number, value) for number, value in protobuf.fields(message) if not isinstance(value, int))

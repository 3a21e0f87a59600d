"""Folders of labelled pictures: flat, or nested in class folders."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.artifacts import Samples
from runner.datasets import HashFiles, Policy, Request
from runner.datasets.pictures import picture_faults, picture_tensor, write_pictures
from runner.datasets.storage import finish, limit_note, stored_bytes, wanted_count
from runner.errors import DataError, Fault
from runner.preprocess import Geometry, load_picture

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
LABEL_FILE = "val_label.txt"
NAMES_SHOWN = 3
LABEL_FIX = "write `name label` a line, the label a number from 0, as in: ILSVRC2012_val_00000001.JPEG 65"


@dataclass(frozen=True)
class ImageFolder:
    """Pictures below `root`, labelled by a file or, without one, by the ImageNet synsets that name their folders.

    `root` holds `val/`, or the pictures or class folders themselves. `labels` is a file of `name[.ext] label` lines;
    None looks for val_label.txt in `root` and beside the pictures' folder.
    """

    root: str | None = None
    labels: str | None = None

    needs_policy = False
    seeded = False

    def faults(self, request: Request) -> list[Fault]:
        try:
            self.stored_bytes(request)
        except DataError as error:
            return [*picture_faults(request), Fault(error.message, error.fix), *self._label_file_faults(error)]
        return picture_faults(request)

    def _label_file_faults(self, told: DataError) -> list[Fault]:
        """What is wrong with the label file, where the pictures were found to be wrong before it was read."""
        try:
            if self.labels is not None:
                read_labels(Path(self.labels).expanduser())
        except DataError as error:
            return [] if error.message == told.message else [Fault(error.message, error.fix)]
        return []

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        listing = self._listing
        count = wanted_count(request.limit, len(listing.files))
        return {
            "ids": list(listing.ids[:count]),
            "labels": list(listing.labels[:count]),
            "sha256": list(hash_files(listing.folder, [Path(file) for file in listing.files[:count]])),
        }

    def stored_bytes(self, request: Request) -> int:
        count = wanted_count(request.limit, len(self._listing.files))
        return stored_bytes((picture_tensor(request),), count)

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        listing = self._listing
        count = wanted_count(request.limit, len(listing.files))
        tensor = picture_tensor(request)
        write_pictures(partial(_load, listing.folder, request.geometry), listing.files[:count], tensor, out)
        notes = (listing.note, limit_note(request.limit, len(listing.files), "pictures"))
        return finish(
            out,
            request.inputs,
            listing.ids[:count],
            listing.labels[:count],
            note="; ".join(note for note in notes if note) or None,
        )

    @cached_property
    def _listing(self) -> Listing:
        return list_samples(self.root, self.labels)


def _load(folder: Path, geometry: Geometry, file: str) -> NDArray[np.uint8]:
    return load_picture(folder / file, geometry)


@dataclass(frozen=True)
class Listing:
    """A data set's samples in order. `files` are paths below `folder` with forward slashes."""

    folder: Path
    files: tuple[str, ...]
    ids: tuple[str, ...]
    labels: tuple[int, ...]
    note: str | None


def list_samples(root: str | None, labels: str | None) -> Listing:
    """Find the pictures, name and label them.

    Raises:
        DataError: no pictures, no labels, or either ambiguous or unreadable.
    """
    folder, files = find_pictures(root)
    label_file = find_label_file(folder, labels)
    if label_file is None:
        return Listing(folder, tuple(files), _sample_ids(files), _synset_labels(folder, files), None)
    by_name = read_labels(label_file)
    ids = _sample_names(files)
    if len(set(ids)) < len(ids):
        first, second = _same_name(files, ids)
        raise DataError(
            f"{label_file} labels pictures by file name, but {first} and {second} in {folder} have one name",
            "rename one of them, or remove one",
        )
    unlabelled = [file for file, name in zip(files, ids, strict=True) if name not in by_name]
    if unlabelled:
        raise DataError(
            f"{len(unlabelled)} of the {len(files)} pictures in {folder} have no label in {label_file}: "
            + _first_few(unlabelled),
            "add their labels, take the pictures away, or give the right file with dataset.labels=FILE",
        )
    some = f"{len(files)} of the {len(by_name)} pictures that {label_file} lists"
    note = some if len(by_name) > len(files) else None
    return Listing(folder, tuple(files), tuple(ids), tuple(by_name[name] for name in ids), note)


def find_pictures(root: str | None) -> tuple[Path, list[str]]:
    """The folder that holds the pictures, and their paths below it, by file name and then by path.

    Raises:
        DataError: no root, no folder, no pictures in it, or a link to nothing.
    """
    fix = "give dataset.root=DIR holding val/ or the pictures, or dataset=synthetic_images to try without ImageNet"
    if root is None:
        raise DataError("dataset.root is not set", fix)
    base = Path(root).expanduser().absolute()
    if not base.is_dir():
        raise DataError(f"dataset.root: {base} is {'a file, not' if base.exists() else 'not'} a folder", fix)
    folder = base / "val" if (base / "val").is_dir() else base
    try:
        files = list(_scan(folder, "", ()))
    except OSError as error:
        raise DataError(f"dataset.root: {error.filename}: {error.strerror}", "give permission to read it") from error
    if not files:
        raise DataError(f"dataset.root: there are no pictures ({', '.join(EXTENSIONS)}) in {folder}", fix)
    return folder, sorted(files, key=lambda file: (file.rpartition("/")[2], file))


def _scan(folder: Path, prefix: str, parents: tuple[Path, ...]) -> Iterator[str]:
    """All pictures below `folder`/`prefix`, as paths below `folder`; links are followed, but not round in circles."""
    place = (folder / prefix).resolve()
    if place in parents:
        return
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _scan(folder, f"{prefix}{entry.name}/", (*parents, place))
            elif entry.name.lower().endswith(EXTENSIONS):
                _check_picture(entry, folder / prefix)
                yield prefix + entry.name


def _check_picture(entry: os.DirEntry[str], folder: Path) -> None:
    if not entry.is_file():
        path = folder / entry.name
        raise DataError(f"dataset.root: {path} is neither a file nor a link to one", "mend the link, or remove it")
    if not _is_unicode(entry.name):
        raise DataError(f"dataset.root: the file name {entry.name!a} is not UTF-8", "rename the file")


def _is_unicode(name: str) -> bool:
    """File names that are not UTF-8 come as lone surrogates, which nothing can write down."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _sample_names(files: Sequence[str]) -> tuple[str, ...]:
    """File names cut at their first dot."""
    return tuple(file.rpartition("/")[2].partition(".")[0] for file in files)


def _sample_ids(files: Sequence[str]) -> tuple[str, ...]:
    """File names cut at their first dot where that tells all apart, else paths without extension."""
    names = _sample_names(files)
    if len(set(names)) == len(names):
        return names
    paths = tuple(file.rpartition(".")[0] for file in files)
    if len(set(paths)) < len(paths):
        first, second = _same_name(files, paths)
        raise DataError(f"{first} and {second} differ only in their extension", "rename one of them, or remove one")
    return paths


def _same_name(files: Sequence[str], names: Sequence[str]) -> tuple[str, str]:
    """Two files that share a name."""
    seen: dict[str, str] = {}
    for file, name in zip(files, names, strict=True):
        if name in seen:
            return seen[name], file
        seen[name] = file
    raise ValueError("all names differ")


def find_label_file(folder: Path, labels: str | None) -> Path | None:
    """The label file that was given, or the one in the pictures' folder or beside it; None if there is none."""
    if labels is not None:
        return Path(labels).expanduser()
    candidates = (folder / LABEL_FILE, folder.parent / LABEL_FILE)
    return next((path for path in candidates if path.is_file()), None)


def read_labels(path: Path) -> dict[str, int]:
    """Class indices by picture name, cut at the first dot.

    Raises:
        DataError: the file cannot be read, a line is no `name label`, or one name has two labels.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"dataset.labels: {path}: {error.strerror}", f"give dataset.labels=FILE; {LABEL_FIX}"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"dataset.labels: {path} is not a text file: {error}", LABEL_FIX) from error
    labels: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name, label = _parse_label(f"{path}:{number}", line)
        if labels.setdefault(name, label) != label:
            raise DataError(
                f"{path}:{number}: {name} has label {label} here and {labels[name]} above", "remove one of the lines"
            )
    return labels


def _parse_label(where: str, line: str) -> tuple[str, int]:
    fields = line.rsplit(maxsplit=1)  # a name may hold spaces
    if len(fields) != 2 or not re.fullmatch("[0-9]{1,9}", fields[1]):
        raise DataError(f"{where}: {line.strip()[:80]!r} is not `name label`", LABEL_FIX)
    return fields[0].strip().partition(".")[0], int(fields[1])


def _synset_labels(folder: Path, files: Sequence[str]) -> tuple[int, ...]:
    """Class indices by the ImageNet synsets (n01440764, ...) that name the pictures' own folders."""
    classes = {file: file.rpartition("/")[0].rpartition("/")[2] for file in files}
    indices = _synset_indices() if all(re.fullmatch("n[0-9]{8}", name) for name in classes.values()) else {}
    strangers = [file for file, name in classes.items() if name not in indices]
    if strangers:
        raise DataError(
            f"there is no {LABEL_FILE} for {folder}, and {len(strangers)} of its {len(files)} pictures are not in "
            f"a folder named by one of ImageNet's 1000 synsets: {_first_few(strangers)}",
            f"put {LABEL_FILE} beside the folder or give dataset.labels=FILE; {LABEL_FIX}",
        )
    return tuple(indices[name] for name in classes.values())


def _synset_indices() -> dict[str, int]:
    """ImageNet-1k's synsets in the order of its class indices, as timm ships them; timm is not imported."""
    spec = importlib.util.find_spec("timm")
    for package in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(package) / "data" / "_info" / "imagenet_synsets.txt"
        if path.is_file():
            return {synset: index for index, synset in enumerate(path.read_text().split())}
    raise DataError(
        "ImageNet's list of synsets is missing: it comes with timm", "pip install timm, or give dataset.labels=FILE"
    )


def _first_few(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")

"""Reader of folders of labelled images: flat, or nested in class folders."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.core import DataError, Problem, Samples, first_few
from runner.data import (
    HashFiles,
    Picture,
    Policy,
    Request,
    file_names,
    files_source,
    find_pictures,
    picture_bytes,
    picture_problems,
    same_name,
    sample_ids,
    storage,
    write_pictures,
)

LABEL_FILE = "val_label.txt"
ROOT_FIX = "give dataset.root=DIR holding val/ or the pictures, or dataset=synthetic_images to try without ImageNet"
LABEL_FIX = "write `name label` a line, the label a number from 0, as in: ILSVRC2012_val_00000001.JPEG 65"


@dataclass(frozen=True)
class ImageFolder:
    """Images below `root`, labelled by a file or, without one, by ImageNet synsets as folder names.

    `root` contains `val/`, or the images or class folders themselves. `labels` is a file of `name[.ext] label` lines;
    None looks for val_label.txt in `root` and beside the images' folder.
    """

    root: str | None = None
    labels: str | None = None

    needs_policy = False
    seeded = False

    def validate(self, request: Request) -> list[Problem]:
        try:
            self.stored_bytes(request)
        except DataError as error:
            return [*picture_problems(request), error.problem, *self._label_file_problems(error)]
        return picture_problems(request)

    def _label_file_problems(self, known: DataError) -> list[Problem]:
        """Return problems of the label file if a problem with the images was detected before it was read."""
        try:
            if self.labels is not None:
                read_labels(Path(self.labels).expanduser())
        except DataError as error:
            return [] if error.message == known.message else [error.problem]
        return []

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        listing = self._listing
        count = storage.wanted_count(request.limit, len(listing.files))
        return {
            "ids": list(listing.ids[:count]),
            "labels": list(listing.labels[:count]),
            "sha256": list(hash_files(listing.folder, [Path(file) for file in listing.files[:count]])),
        }

    def stored_bytes(self, request: Request) -> int:
        listing = self._listing
        source = files_source(listing.folder, request.geometry)
        return picture_bytes(source, listing.files[: storage.wanted_count(request.limit, len(listing.files))], request)

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        listing = self._listing
        count = storage.wanted_count(request.limit, len(listing.files))
        pictures = list(map(Picture, listing.files[:count], listing.ids, listing.labels))
        rows = write_pictures(files_source(listing.folder, request.geometry), pictures, request, out)
        notes = (listing.note, storage.limit_note(request.limit, len(listing.files), "pictures"))
        return storage.finish(out, request.inputs, rows, note="; ".join(note for note in notes if note) or None)

    @cached_property
    def _listing(self) -> Listing:
        return list_samples(self.root, self.labels)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A data set's samples in order. `files` are paths relative to `folder` with forward slashes."""

    folder: Path
    files: tuple[str, ...]
    ids: tuple[str, ...]
    labels: tuple[int, ...]
    note: str | None


def list_samples(root: str | None, labels: str | None) -> Listing:
    """Find the images, and assign ids and labels.

    Raises:
        DataError: images or labels are missing, ambiguous or unreadable.
    """
    folder, files = find_pictures(root, "val", ROOT_FIX)
    label_file = find_label_file(folder, labels)
    if label_file is None:
        return Listing(
            folder=folder, files=tuple(files), ids=sample_ids(files), labels=_synset_labels(folder, files), note=None
        )
    by_name = read_labels(label_file)
    ids = file_names(files)
    if len(set(ids)) < len(ids):
        first, second = same_name(files, ids)
        raise DataError(
            f"{label_file} labels pictures by file name, but {first} and {second} in {folder} have one name",
            "rename one of them, or remove one",
        )
    unlabelled = [file for file, name in zip(files, ids, strict=True) if name not in by_name]
    if unlabelled:
        raise DataError(
            f"{len(unlabelled)} of the {len(files)} pictures in {folder} have no label in {label_file}: "
            + first_few(unlabelled, 3),
            "add their labels, take the pictures away, or give the right file with dataset.labels=FILE",
        )
    some = f"{len(files)} of the {len(by_name)} pictures that {label_file} lists"
    note = some if len(by_name) > len(files) else None
    labelled = tuple(by_name[name] for name in ids)
    return Listing(folder=folder, files=tuple(files), ids=tuple(ids), labels=labelled, note=note)


def find_label_file(folder: Path, labels: str | None) -> Path | None:
    """Return the given label file, or the one in the images' folder or beside it; None if there is none."""
    if labels is not None:
        return Path(labels).expanduser()
    candidates = (folder / LABEL_FILE, folder.parent / LABEL_FILE)
    return next((path for path in candidates if path.is_file()), None)


def read_labels(path: Path) -> dict[str, int]:
    """Return class indices by image name, truncated at the first dot.

    Raises:
        DataError: the file cannot be read, a line is not `name label`, or a name has two labels.
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
    fields = line.rsplit(maxsplit=1)  # a name may contain spaces
    if len(fields) != 2 or not re.fullmatch("[0-9]{1,9}", fields[1]):
        raise DataError(f"{where}: {line.strip()[:80]!r} is not `name label`", LABEL_FIX)
    return fields[0].strip().partition(".")[0], int(fields[1])


def _synset_labels(folder: Path, files: Sequence[str]) -> tuple[int, ...]:
    """Return class indices from the ImageNet synsets (n01440764, ...) that are the images' folder names."""
    classes = {file: file.rpartition("/")[0].rpartition("/")[2] for file in files}
    indices = _synset_indices() if all(re.fullmatch("n[0-9]{8}", name) for name in classes.values()) else {}
    strangers = [file for file, name in classes.items() if name not in indices]
    if strangers:
        raise DataError(
            f"there is no {LABEL_FILE} for {folder}, and {len(strangers)} of its {len(files)} pictures are not in "
            f"a folder named by one of ImageNet's 1000 synsets: {first_few(strangers, 3)}",
            f"put {LABEL_FILE} beside the folder or give dataset.labels=FILE; {LABEL_FIX}",
        )
    return tuple(indices[name] for name in classes.values())


def _synset_indices() -> dict[str, int]:
    """Return class indices by ImageNet-1k synset, from a file shipped with timm, which is not imported."""
    spec = importlib.util.find_spec("timm")
    for package in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(package) / "data" / "_info" / "imagenet_synsets.txt"
        if path.is_file():
            return {synset: index for index, synset in enumerate(path.read_text().split())}
    raise DataError(
        "ImageNet's list of synsets is missing: it comes with timm", "pip install timm, or give dataset.labels=FILE"
    )

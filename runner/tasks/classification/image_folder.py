"""Reader of folders of labelled images: flat, or nested in class folders."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from runner.core import DataError, Problem, Samples, first_few, is_unicode
from runner.core.lazy import NDArray, np
from runner.data import (
    Geometry,
    HashFiles,
    Policy,
    Request,
    load_picture,
    picture_problems,
    picture_tensor,
    storage,
    write_pictures,
)

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
LABEL_FILE = "val_label.txt"
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
        count = storage.wanted_count(request.limit, len(self._listing.files))
        return storage.stored_bytes((picture_tensor(request),), count)

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        listing = self._listing
        count = storage.wanted_count(request.limit, len(listing.files))
        tensor = picture_tensor(request)
        write_pictures(partial(_load, listing.folder, request.geometry), listing.files[:count], tensor, out)
        notes = (listing.note, storage.limit_note(request.limit, len(listing.files), "pictures"))
        return storage.finish(
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
    folder, files = find_pictures(root)
    label_file = find_label_file(folder, labels)
    if label_file is None:
        return Listing(
            folder=folder, files=tuple(files), ids=_sample_ids(files), labels=_synset_labels(folder, files), note=None
        )
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
            + first_few(unlabelled, 3),
            "add their labels, take the pictures away, or give the right file with dataset.labels=FILE",
        )
    some = f"{len(files)} of the {len(by_name)} pictures that {label_file} lists"
    note = some if len(by_name) > len(files) else None
    labelled = tuple(by_name[name] for name in ids)
    return Listing(folder=folder, files=tuple(files), ids=tuple(ids), labels=labelled, note=note)


def find_pictures(root: str | None) -> tuple[Path, list[str]]:
    """Return the images' folder and their relative paths, sorted by file name and then by path.

    Raises:
        DataError: no root, no such folder, no images in it, or a broken symlink.
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
    """Yield all images below `folder`/`prefix`, relative to `folder`; symlinks are followed, but not in cycles."""
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
    if not is_unicode(entry.name):
        raise DataError(f"dataset.root: the file name {entry.name!a} is not UTF-8", "rename the file")


def _sample_names(files: Sequence[str]) -> tuple[str, ...]:
    """Return file names truncated at their first dot."""
    return tuple(file.rpartition("/")[2].partition(".")[0] for file in files)


def _sample_ids(files: Sequence[str]) -> tuple[str, ...]:
    """Return file names truncated at their first dot if these are unique, else paths without extension."""
    names = _sample_names(files)
    if len(set(names)) == len(names):
        return names
    paths = tuple(file.rpartition(".")[0] for file in files)
    if len(set(paths)) < len(paths):
        first, second = _same_name(files, paths)
        raise DataError(f"{first} and {second} differ only in their extension", "rename one of them, or remove one")
    return paths


def _same_name(files: Sequence[str], names: Sequence[str]) -> tuple[str, str]:
    """Return two files with the same name."""
    seen: dict[str, str] = {}
    for file, name in zip(files, names, strict=True):
        if name in seen:
            return seen[name], file
        seen[name] = file
    raise ValueError("all names differ")


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

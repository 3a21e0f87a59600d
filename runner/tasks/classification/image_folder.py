"""Reader of folders of labelled images: flat, or nested in class folders."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from runner.core import DataError, Problem, at_home, first_few
from runner.data import Picture, Request, file_names, find_pictures, same_name, sample_ids
from runner.tasks.listed import ListedPictures, Listing, lines_of

LABEL_FILE = "val_label.txt"
ROOT_FIX = "give dataset.root=DIR holding val/ or the pictures, or dataset=synthetic_images to try without ImageNet"
LABEL_FIX = "write `name label` a line, the label a number from 0, as in: ILSVRC2012_val_00000001.JPEG 65"


@dataclass(frozen=True)
class ImageFolder(ListedPictures):
    """Images below `root`, labelled by a file or, without one, by the names of the folders that they lie in.

    `root` contains `val/`, or the images or class folders themselves. `labels` is a file of `name[.ext] label` lines,
    or of `folder/name[.ext] label` lines, with paths as in `val/` or `root`, where names occur in several folders;
    None looks for val_label.txt in `root` and beside the images' folder. `classes` are the folders' names in the order
    of the class indices, and then no label file is looked for; None for ImageNet's synsets.
    """

    root: str | None = None
    labels: str | None = None
    classes: list[str] | None = None

    def validate(self, request: Request) -> list[Problem]:
        problems = super().validate(request)
        if problems and self.labels is not None:  # a problem with the images may hide one with the labels
            try:
                read_labels(at_home(self.labels))
            except DataError as error:
                return list(dict.fromkeys([*problems, error.problem]))
        return problems

    @cached_property
    def _listing(self) -> Listing:
        return list_samples(self.root, self.labels, self.classes)


def list_samples(root: str | None, labels: str | None, classes: Sequence[str] | None = None) -> Listing:
    """Find the images, and assign ids and labels, as `ImageFolder` says.

    Raises:
        DataError: images or labels are missing, ambiguous or unreadable.
    """
    if labels is not None and classes is not None:
        raise DataError("both dataset.labels and dataset.reader.classes say which labels pictures have", "give one")
    folder, files = find_pictures(root, "val", ROOT_FIX)
    label_file = find_label_file(folder, labels) if classes is None else None
    if label_file is None:
        truths = _folder_labels(folder, files, classes)
        return Listing(folder, list(map(Picture, files, sample_ids(files), truths)))
    return _labelled(folder, files, label_file)


def _labelled(folder: Path, files: Sequence[str], label_file: Path) -> Listing:
    """Return the images with their labels: by file name, or by path where several have one name."""
    labels, ids = read_labels(label_file), file_names(files)
    fix = "add their labels, take the pictures away, or give the right file with dataset.labels=FILE"
    if len(set(ids)) == len(ids):
        labels = _by_file_name(labels, label_file)
    else:
        first, second = same_name(files, ids)
        fix = f"{first} and {second} have one name: give the paths in every line, as in `{first} 0`, or rename them"
        ids = tuple(map(_without_extension, files))
    if len(set(ids)) < len(ids):
        first, second = same_name(files, ids)
        raise DataError(
            f"{first} and {second} in {folder} have one name up to the first dot, and {label_file} cannot tell them "
            "apart",
            "rename one of them, or remove one",
        )
    unlabelled = [file for file, id in zip(files, ids, strict=True) if id not in labels]
    if unlabelled:
        raise DataError(
            f"{len(unlabelled)} of the {len(files)} pictures in {folder} have no label in {label_file}: "
            + first_few(unlabelled, 3),
            fix,
        )
    some = f"{len(files)} of the {len(labels)} pictures that {label_file} lists"
    note = some if len(labels) > len(files) else None
    return Listing(folder, [Picture(file, id, labels[id]) for file, id in zip(files, ids, strict=True)], note)


def _by_file_name(labels: Mapping[str, int], label_file: Path) -> dict[str, int]:
    """Return the labels by the names of the images without their folders."""
    by_name: dict[str, int] = {}
    for path, name in zip(labels, file_names(list(labels)), strict=True):
        if by_name.setdefault(name, labels[path]) != labels[path]:
            raise DataError(
                f"{label_file}: {name} has the labels {by_name[name]} and {labels[path]}, in two folders",
                "remove one of the lines: of the pictures there is one of this name",
            )
    return by_name


def find_label_file(folder: Path, labels: str | None) -> Path | None:
    """Return the given label file, or the one in the images' folder or beside it; None if there is none."""
    if labels is not None:
        return at_home(labels)
    candidates = (folder / LABEL_FILE, folder.parent / LABEL_FILE)
    return next((path for path in candidates if path.is_file()), None)


def read_labels(path: Path) -> dict[str, int]:
    """Return class indices by the images' paths as they are listed, their names truncated at the first dot.

    Raises:
        DataError: the file cannot be read, a line is not `name label`, or a name has two labels.
    """
    labels: dict[str, int] = {}
    for where, line in lines_of(path, "dataset.labels", f"give dataset.labels=FILE; {LABEL_FIX}"):
        name, label = _parse_label(where, line)
        if labels.setdefault(name, label) != label:
            raise DataError(
                f"{where}: {name} has label {label} here and {labels[name]} above",
                "remove one of the lines; a picture is known by its file's name up to the first dot",
            )
    return labels


def _parse_label(where: str, line: str) -> tuple[str, int]:
    fields = line.rsplit(maxsplit=1)  # a name may contain spaces
    if len(fields) != 2 or not re.fullmatch("[0-9]{1,9}", fields[1]):
        raise DataError(f"{where}: {line[:80]!r} is not `name label`", LABEL_FIX)
    return _without_extension(fields[0]), int(fields[1])


def _without_extension(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return folder + slash + name.partition(".")[0]


def _folder_labels(folder: Path, files: Sequence[str], classes: Sequence[str] | None) -> tuple[int, ...]:
    """Return class indices from the names of the images' folders: `classes`, or ImageNet's synsets (n01440764, ...)."""
    names = {file: file.rpartition("/")[0].rpartition("/")[2] for file in files}
    if classes is not None:
        indices = {name: index for index, name in enumerate(classes)}
    else:
        indices = _synset_indices() if all(re.fullmatch("n[0-9]{8}", name) for name in names.values()) else {}
    strangers = [file for file, name in names.items() if name not in indices]
    if strangers:
        missing = f"there is no {LABEL_FILE} for {folder}, and " if classes is None else ""
        known = "ImageNet's 1000 synsets" if classes is None else f"dataset.reader.classes ({first_few(classes, 5)})"
        raise DataError(
            f"{missing}{len(strangers)} of the {len(files)} pictures in {folder} are not in a folder named by one of "
            f"{known}: {first_few(strangers, 3)}",
            "name the class folders in the order of the classes, as in '+dataset.reader.classes=[cat,dog]'; or put "
            f"{LABEL_FILE} beside the folder or give dataset.labels=FILE; {LABEL_FIX}",
        )
    return tuple(indices[name] for name in names.values())


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

"""Reader of pictures with objects in Pascal VOC's format."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

from runner.core import DataError, first_few, read_regular
from runner.data import Picture, list_pictures, root_folder
from runner.tasks.detection._reader import Annotated, AnnotatedPictures
from runner.tasks.detection.boxes import Objects
from runner.tasks.listed import LARGEST_BYTES, Listing, text_of

ROOT_FIX = (
    "give dataset.root=DIR holding JPEGImages/, Annotations/ and ImageSets/Main/, such as VOCdevkit/VOC2007, "
    "or dataset=synthetic_boxes to try without VOC"
)


@dataclass(frozen=True)
class Voc(AnnotatedPictures):
    """Pictures with Pascal VOC's object annotations, in the order of ImageSets/Main/`split`.txt.

    `root` is VOC2007 or the like, or holds one such folder, perhaps in VOCdevkit/. `classes` are the names in the order
    of the indices. Pixels counted from 1 in the files become continuous coordinates from 0.
    """

    root: str | None
    classes: list[str]
    split: str = "test"

    @cached_property
    def _listing(self) -> Listing:
        folder = self._folder / "JPEGImages"
        files = {Path(file).stem: file for file in list_pictures(folder, ROOT_FIX)}
        ids = _split_ids(self._folder, self.split)
        return Listing(folder, [Picture(files.get(id, id), id) for id in ids])

    @property
    def _list_file(self) -> tuple[Path, str]:
        return _split_file(self._folder, self.split), "fetch them, or take them out of the list"

    def _annotated(self, pictures: Sequence[Picture]) -> list[Annotated]:
        return [self._read(picture.id) for picture in pictures]

    def _annotation_files(self, pictures: Sequence[Picture]) -> tuple[Path, list[Path]]:
        return self._folder, [Path("Annotations", f"{picture.id}.xml") for picture in pictures]

    @cached_property
    def _folder(self) -> Path:
        return _devkit_folder(root_folder(self.root, ROOT_FIX))

    @cached_property
    def _read(self) -> Any:
        """What reads the annotations of an id, once."""
        indices = {name: index for index, name in enumerate(self.classes)}
        return cache(partial(_read_annotations, self._folder / "Annotations", indices))


def _devkit_folder(base: Path) -> Path:
    choices = [base, *sorted(base.glob("VOC*")), *sorted(base.glob("VOCdevkit/VOC*"))]
    choices = [folder for folder in choices if (folder / "JPEGImages").is_dir()]
    if not choices:
        raise DataError(f"dataset.root: there is no JPEGImages/ in {base}", ROOT_FIX)
    if len(choices) > 1 and choices[0] != base:
        names = first_few([str(folder) for folder in choices])
        raise DataError(f"dataset.root: {base} has several data sets: {names}", "give one of them as dataset.root")
    return choices[0]


def _split_file(folder: Path, split: str) -> Path:
    return folder / "ImageSets" / "Main" / f"{split}.txt"


def _split_ids(folder: Path, split: str) -> list[str]:
    path = _split_file(folder, split)
    try:
        ids = [line.split()[0] for line in text_of(path).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        splits = sorted(other.stem for other in path.parent.glob("*.txt") if "_" not in other.stem)
        fix = f"choose of: {first_few(splits, 8)}" if splits else "write the pictures' names there, one a line"
        raise DataError(f"dataset.reader.split: {path} cannot be read: {error}", fix) from error
    if len(set(ids)) < len(ids) or not ids:
        raise DataError(f"{path} {'lists a picture twice' if ids else 'is empty'}", "correct the list")
    return ids


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        """Refuse document types: the entities that they declare may expand without end."""
        raise ValueError("it declares a document type")


def _read_annotations(folder: Path, classes: Mapping[str, int], id: str) -> Annotated:
    """Return what is annotated in a picture.

    Raises:
        DataError: the file is missing, or is not VOC's annotations of the classes.
    """
    path = folder / f"{id}.xml"
    try:
        root = ElementTree.fromstring(read_regular(path, LARGEST_BYTES), ElementTree.XMLParser(target=_NoDoctype()))
        width, height = (int(_text(root, f"size/{side}")) for side in ("width", "height"))
        if min(width, height) < 1:
            raise ValueError(f"its size is {width}x{height}")
        elements = root.findall("object")
        boxes = [_box(element, width, height) for element in elements]
        names = [_text(element, "name") for element in elements]
        difficult = [int(element.findtext("difficult") or 0) for element in elements]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", "fetch it, or take the picture out of the split") from error
    except (ElementTree.ParseError, LookupError, OverflowError, ValueError) as error:
        raise DataError(
            f"{path} does not hold Pascal VOC's annotations: {error}", "correct it, or fetch it again"
        ) from error
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise DataError(
            f"{path} has objects of a class that is not listed: {first_few(unknown)}",
            f"give the classes as dataset.reader.classes=[...]; they are {', '.join(classes)}",
        )
    objects: Objects = {
        "class_count": len(classes),
        "boxes": boxes,
        "classes": [classes[name] for name in names],
        "areas": [(right - left) * (bottom - top) for left, top, right, bottom in boxes],
        "crowd": [0] * len(boxes),
        "difficult": difficult,
    }
    return Annotated((height, width), objects)


def _box(element: ElementTree.Element, width: int, height: int) -> list[float]:
    """Return x1, y1, x2, y2: pixels from xmin to xmax, counted from 1, reach from xmin - 1 to xmax."""
    left, top, right, bottom = (float(_text(element, f"bndbox/{edge}")) for edge in ("xmin", "ymin", "xmax", "ymax"))
    inside = left <= right and top <= bottom and left <= width and top <= height and right >= 0 and bottom >= 0
    if not inside or not all(map(math.isfinite, (left, top, right, bottom))):
        raise ValueError(f"the box xmin {left:g}, ymin {top:g}, xmax {right:g}, ymax {bottom:g} is not in the picture")
    return [left - 1, top - 1, right, bottom]


def _text(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"{element.tag} has no {path}")
    return text.strip()

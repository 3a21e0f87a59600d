"""Reader of pictures with objects in COCO's format."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import msgspec

from runner.core import JSON_ERRORS, DataError, Problem, at_home, first_few, read_regular
from runner.data import Picture, Request, root_folder, sample_ids
from runner.tasks.detection._masks import mask_problems, mask_tools
from runner.tasks.detection._reader import Annotated, AnnotatedPictures
from runner.tasks.detection.boxes import RLE, Objects
from runner.tasks.listed import LARGEST_BYTES, Listing, leads_out

STANDARD = "instances_val2017.json"
ROOT_FIX = (
    "give dataset.root=DIR holding annotations/instances_val2017.json and val2017/, "
    "or dataset=synthetic_boxes to try without COCO"
)
_PICTURES_FIX = "fetch them, take them out of the list, or give the folder that they lie in as dataset.reader.pictures"


@dataclass(frozen=True)
class Coco(AnnotatedPictures):
    """Pictures with COCO's object annotations, in the order of their ids; class k is the k-th category by id.

    `annotations` is a file in `root`; None looks for annotations/instances_val2017.json, then for the only
    instances_*.json or *.json in annotations/ or in `root`. `pictures` is a folder in `root`; None looks for the
    annotations' split (val2017/), images/SPLIT/, images/ and `root`. `masks` reads the objects' masks too.

    Boxes are kept as they are annotated, as COCOeval does: some pass a picture's edge, and one without area can never
    be found. One that lies entirely outside its picture is an error.
    """

    root: str | None = None
    annotations: str | None = None
    pictures: str | None = None
    masks: bool = False

    @cached_property
    def _listing(self) -> Listing:
        path, coco = self._annotations
        files = [image.file_name for image in coco.images]
        folder = _picture_folder(path, root_folder(self.root, ROOT_FIX), self.pictures)
        return Listing(folder, list(map(Picture, files, sample_ids(files))))

    def _problems(self, request: Request) -> list[Problem]:
        return [*super()._problems(request), *(mask_problems() if self.masks else [])]

    @property
    def _list_file(self) -> tuple[Path, str]:
        return self._annotations[0], _PICTURES_FIX

    def _annotated(self, pictures: Sequence[Picture]) -> list[Annotated]:
        coco = self._annotations[1]
        classes = {category.id: index for index, category in enumerate(coco.categories)}
        return [
            Annotated((image.height, image.width), _objects(self._by_picture.get(image.id, ()), classes))
            for image in coco.images[: len(pictures)]
        ]

    def _annotation_files(self, pictures: Sequence[Picture]) -> tuple[Path, list[Path]]:
        path = self._annotations[0]
        return path.parent, [Path(path.name)]

    def _complete(self, pictures: Sequence[Picture]) -> Sequence[Picture]:
        completed = super()._complete(pictures)
        if not self.masks:
            return completed
        images = self._annotations[1].images[: len(pictures)]
        masks = ([_mask(each, image) for each in self._by_picture.get(image.id, ())] for image in images)
        return [
            replace(picture, truth={**picture.truth, "masks": own})
            for picture, own in zip(completed, masks, strict=True)
        ]

    def _note(self, pictures: Sequence[Picture]) -> str | None:
        empty = sum(not (box[0] < box[2] and box[1] < box[3]) for picture in pictures for box in picture.truth["boxes"])
        return f"objects with a box without area, which cannot be found, as in COCOeval: {empty}" if empty else None

    @cached_property
    def _annotations(self) -> tuple[Path, _Coco]:
        path = _annotation_file(root_folder(self.root, ROOT_FIX), self.annotations)
        return path, _read(path)

    @cached_property
    def _by_picture(self) -> dict[int, list[_Annotation]]:
        by_picture: dict[int, list[_Annotation]] = {}
        for annotation in self._annotations[1].annotations:
            by_picture.setdefault(annotation.image_id, []).append(annotation)
        return by_picture


class _Image(msgspec.Struct, gc=False):
    id: int
    file_name: str
    width: int
    height: int


class _Category(msgspec.Struct):
    id: int


class _Annotation(msgspec.Struct, gc=False):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float
    iscrowd: bool | int = 0
    segmentation: msgspec.Raw = msgspec.Raw(b"null")


class _Coco(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


class _RunLengths(msgspec.Struct):
    size: tuple[int, int]
    counts: str | list[int]


_POLYGONS_OR_RUNS = list[list[float]] | _RunLengths


def _annotation_file(base: Path, given: str | None) -> Path:
    if given is not None:
        path = base / at_home(given)
        if not path.is_file():
            raise DataError(
                f"dataset.reader.annotations: {path} is not a file", "give a path, relative to dataset.root or absolute"
            )
        return path
    folder = base / "annotations" if (base / "annotations").is_dir() else base
    standard = folder / STANDARD
    choices = [standard] if standard.is_file() else sorted(folder.glob("instances_*.json"))
    choices = choices or sorted(folder.glob("*.json"))
    if not choices:
        raise DataError(f"dataset.root: there are no annotations (*.json) in {folder}", ROOT_FIX)
    if len(choices) > 1:
        names = first_few([path.name for path in choices])
        raise DataError(
            f"dataset.root: {folder} has several files of annotations: {names}", "give dataset.reader.annotations=FILE"
        )
    return choices[0]


def _picture_folder(annotations: Path, base: Path, given: str | None) -> Path:
    if given is not None:
        folder = base / at_home(given)
        if not folder.is_dir():
            raise DataError(
                f"dataset.reader.pictures: {folder} is not a folder",
                "give a path, relative to dataset.root or absolute",
            )
        return folder
    split = annotations.stem.removeprefix("instances_")
    return next(folder for folder in (base / split, base / "images" / split, base / "images", base) if folder.is_dir())


def _read(path: Path) -> _Coco:
    """Return the annotations in a file, with images and categories in the order of their ids.

    Raises:
        DataError: it cannot be read, is not COCO's object annotations, or contradicts itself.
    """
    try:
        coco = msgspec.json.decode(read_regular(path, LARGEST_BYTES).removeprefix(BOM_UTF8), type=_Coco)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", "give dataset.reader.annotations=FILE") from error
    except JSON_ERRORS as error:
        raise DataError(
            f"{path} does not hold COCO's object annotations: {error}",
            "fetch it again, or give dataset.reader.annotations=FILE, such as instances_val2017.json",
        ) from error
    wrong = [f"{len(cases)} {what}: {first_few(cases, 3)}" for what, cases in _contradictions(coco) if cases]
    if wrong:
        raise DataError(f"{path} contradicts itself: {'; '.join(wrong)}", "correct the annotations")
    coco.images.sort(key=lambda image: image.id)
    coco.categories.sort(key=lambda category: category.id)
    return coco


def _contradictions(coco: _Coco) -> Iterator[tuple[str, list[str]]]:
    """Yield each kind of contradiction with its cases."""
    yield "image ids that occur twice", _repeated(image.id for image in coco.images)
    yield "file names that occur twice", _repeated(image.file_name for image in coco.images)
    yield "category ids that occur twice", _repeated(category.id for category in coco.categories)
    yield (
        "file names that lead out of the folder",
        [image.file_name for image in coco.images if leads_out(image.file_name)],
    )
    categories = {category.id for category in coco.categories}
    images = {image.id: image for image in coco.images}
    numbered = list(enumerate(coco.annotations))
    yield (
        "annotations of categories that are not in `categories`",
        [
            f"annotations[{n}] (category_id {each.category_id})"
            for n, each in numbered
            if each.category_id not in categories
        ],
    )
    yield (
        "annotations of images that are not in `images`",
        [f"annotations[{n}] (image_id {each.image_id})" for n, each in numbered if each.image_id not in images],
    )
    yield (
        "boxes [x, y, width, height] that are not in their picture",
        [
            f"annotations[{n}] (bbox {list(each.bbox)})"
            for n, each in numbered
            if each.image_id in images and _is_outside(each.bbox, images[each.image_id])
        ],
    )


def _repeated(values: Iterable[int | str]) -> list[str]:
    return [str(value) for value, count in Counter(values).items() if count > 1]


def _is_outside(box: tuple[float, float, float, float], image: _Image) -> bool:
    left, top, width, height = box
    outside = left > image.width or top > image.height or left + width < 0 or top + height < 0
    return outside or width < 0 or height < 0


def _objects(annotations: Sequence[_Annotation], classes: Mapping[int, int]) -> Objects:
    return {
        "class_count": len(classes),
        "boxes": [
            [left, top, left + width, top + height] for left, top, width, height in (a.bbox for a in annotations)
        ],
        "classes": [classes[each.category_id] for each in annotations],
        "areas": [each.area for each in annotations],
        "crowd": [int(each.iscrowd) for each in annotations],
    }


def _mask(annotation: _Annotation, image: _Image) -> RLE:
    """Return an object's mask.

    Raises:
        DataError: it is neither polygons nor run lengths, or of another size than the picture.
    """
    try:
        outline = msgspec.json.decode(annotation.segmentation, type=_POLYGONS_OR_RUNS)
        return _as_rle(outline, image.height, image.width)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(
            f"an object of {image.file_name} (bbox {list(annotation.bbox)}) has no readable segmentation: {error}",
            "correct the annotations, or set dataset.reader.masks=false",
        ) from error


def _as_rle(outline: list[list[float]] | _RunLengths, height: int, width: int) -> RLE:
    """Return polygons or run lengths as compressed run lengths.

    Raises:
        ValueError: a polygon has fewer than three points, or the mask is of another size.
    """
    tools = mask_tools()
    if isinstance(outline, list):
        if not outline or any(len(polygon) < 6 or len(polygon) % 2 for polygon in outline):
            raise ValueError("a polygon is three or more points x1, y1, x2, y2, ...")
        encoded = tools.merge(tools.frPyObjects(outline, height, width))
    elif outline.size != (height, width):
        raise ValueError(f"a mask of {list(outline.size)} in a picture of {[height, width]} (height, width)")
    elif isinstance(outline.counts, str):
        if not re.fullmatch("[0-o]*[0-O]", outline.counts):  # pycocotools would read on behind the text
            raise ValueError("run lengths that end early or are of other characters")
        return {"size": [height, width], "counts": outline.counts}
    elif min(outline.counts, default=0) < 0 or sum(outline.counts) != height * width:
        raise ValueError(f"run lengths of {sum(outline.counts)} pixels in a picture of {height * width}")
    else:
        encoded = tools.frPyObjects({"size": [height, width], "counts": outline.counts}, height, width)
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}

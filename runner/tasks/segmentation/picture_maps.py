"""Reader of pictures with label maps: files of class ids, one map per picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from runner.core import DataError, Problem, bounded, first_few
from runner.core.lazy import Image, NDArray, np
from runner.data import (
    HashFiles,
    Picture,
    PictureSource,
    Request,
    TruthArrays,
    opened_picture,
    picture_size,
    root_folder,
    sample_ids,
)
from runner.tasks.listed import Counterparts, ListedPictures, Listing, check_files, is_file, pictures_ending, text_of
from runner.tasks.segmentation.maps import UNSEEN

T = TypeVar("T")
ID_MODES = ("L", "P", "1")
"""PIL's names of pictures that store one byte, or one bit, a pixel: grey values or indices of a palette."""
NO_CLASS = -1
MASKS_LOOKED_AT = 16
"""Of two classes, how many maps are looked at before anything runs."""


@dataclass(frozen=True)
class PictureMaps(ListedPictures):
    """Pictures below `root`/`pictures`, each with a label map at the same place below `root`/`labels`.

    `classes` is the number of the network's channels; one channel tells two classes. Maps are grey or palette pictures
    whose stored values are the classes, from 0; `ignore` is the value of unlabelled pixels, if there are any. `values`
    tells what is stored instead for each class, in order; then all other values are unlabelled. With
    `reduce_zero_label` 0 is unlabelled and classes count from 1.

    A map has its picture's name with `picture_suffix` (by default the extension) replaced by `label_suffix`. `names` is
    a file below `root` that lists the pictures' names without suffix; by default all pictures are used.
    """

    classes: int = bounded(least=1)
    root: str | None = None
    pictures: str = "pictures"
    labels: str = "labels"
    picture_suffix: str = ""
    label_suffix: str = ".png"
    names: str | None = None
    ignore: int | None = bounded(None, least=0)
    values: Sequence[int] | None = None
    reduce_zero_label: bool = False

    def validate(self, request: Request) -> list[Problem]:
        return list(self._contradictions()) or super().validate(request)

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        maps = self._maps.files(self._wanted(request))
        return {**super().content(request, hash_files), "maps": list(hash_files(self._maps.folder, maps))}

    def _source(self, request: Request) -> PictureSource:
        truth = TruthArrays(dtype="uint8", shape_of=self._maps.size, load=self._maps.load)
        return replace(super()._source(request), truth=truth)

    @cached_property
    def _maps(self) -> LabelFiles:
        folder = root_folder(self.root, self._fix) / self.labels
        return LabelFiles(folder, self.picture_suffix, self.label_suffix, self._class_of_value())

    @cached_property
    def _listing(self) -> Listing:
        """The pictures; raises DataError if one is missing, or has no map."""
        folder = root_folder(self.root, self._fix) / self.pictures
        if not folder.is_dir():
            raise DataError(f"dataset.root: there is no folder {folder}", self._fix)
        listed = self.names is not None
        pictures = self._listed(folder) if listed else pictures_ending(folder, self.picture_suffix, self._fix)
        without = [picture for picture in pictures if not is_file(self._maps.path(picture))]
        if without:
            raise DataError(
                f"{len(without)} of the {len(pictures)} pictures in {folder} have no label map: "
                f"{first_few(without, 3)}; there is no {self._maps.path(without[0])}",
                "add the maps, take the pictures away, or correct labels and label_suffix of dataset.reader",
            )
        return Listing(folder, list(map(Picture, pictures, sample_ids(pictures))))

    def _listed(self, folder: Path) -> list[str]:
        path = root_folder(self.root, self._fix) / str(self.names)
        try:
            names = text_of(path).split()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}, the list of names, cannot be read: {error}", self._fix) from error
        pictures = [name + self.picture_suffix for name in names]
        fix = "fetch the data set again, or correct names and picture_suffix of dataset.reader"
        if not pictures:
            raise DataError(f"{path} lists no pictures", fix)
        check_files(folder, pictures, path, fix)
        return pictures

    @property
    def _told(self) -> int:
        """The number of classes that the network tells apart."""
        return max(2, self.classes)

    @property
    def _fix(self) -> str:
        return (
            f"give dataset.root=DIR holding {self.pictures}/ and {self.labels}/, "
            "or dataset=synthetic_shapes to try without data"
        )

    def _class_of_value(self) -> tuple[int, ...]:
        """Return the class of each value that a map may store; NO_CLASS for values that it may not."""
        unlabelled = NO_CLASS if self.ignore is None else self.ignore
        classes = [NO_CLASS if self.values is None else unlabelled] * 256
        if self.ignore is not None:
            classes[self.ignore] = self.ignore
        first = 1 if self.reduce_zero_label else 0
        classes[:first] = [unlabelled] * first
        for number, value in enumerate(self.values or range(first, first + self._told)):
            classes[value] = number
        return tuple(classes)

    def _contradictions(self) -> Iterator[Problem]:
        if self.classes > UNSEEN or (self.ignore or 0) > UNSEEN:
            yield Problem(
                f"dataset.reader has {self.classes} classes, and ignore {self.ignore}; a map's values are bytes",
                "give at most 255 classes, and an ignore of at most 255",
            )
        values = self.values
        if values is not None and (len(values) != self._told or not all(value in range(256) for value in values)):
            yield Problem(
                f"dataset.reader.values is {list(values)}, and there are {self._told} classes",
                "give one stored value per class, 0 to 255",
            )
        if self.reduce_zero_label and (self.ignore is None or values is not None or self.classes >= UNSEEN):
            yield Problem(
                "dataset.reader.reduce_zero_label is true: what is stored as 0 becomes unlabelled",
                "give dataset.reader.ignore its value, and leave dataset.reader.values out",
            )

    def _check(self, request: Request) -> None:
        super()._check(request)
        self._check_sizes(request)
        if self._told == 2 and self.values is None and not self.reduce_zero_label:
            self._check_masks([picture.item for picture in self._wanted(request)[:MASKS_LOOKED_AT]])

    def _check_masks(self, files: Sequence[str]) -> None:
        """Raise DataError if no map has class 1 while some have `ignore`: masks of 0 and 255, black and white."""
        present = set[int]().union(*(np.unique(self._maps.load(file)).tolist() for file in files))
        if self.ignore in present - {0, 1} and 1 not in present:
            raise DataError(
                f"of two classes the first {len(files)} label maps have none of class 1, and pixels of value "
                f"{self.ignore}, which is dataset.reader.ignore: these do not count",
                f"if they are class 1, as in black and white masks, give '+dataset.reader.values=[0,{self.ignore}]', "
                "else '+dataset.reader.values=[0,1]'",
            )

    def _check_sizes(self, request: Request) -> None:
        unequal = []
        for picture in self._wanted(request):
            file = picture.item
            sizes = [picture_size(self._listing.folder / file), self._maps.size(file)]
            if sizes[0] != sizes[1]:
                unequal.append(f"{file} is {_shown(sizes[0])}, its map {_shown(sizes[1])}")
        if unequal:
            raise DataError(
                f"{len(unequal)} label maps have another size than their picture: {first_few(unequal, 3)}",
                "a map has a value for each pixel of its picture: where maps were made smaller on purpose, give "
                "pictures of that size, or enlarge the maps by Pillow's Resampling.NEAREST; otherwise fetch these "
                "files again",
            )


@dataclass(frozen=True)
class LabelFiles(Counterparts):
    """The label maps below `folder`. `class_of_value` is the class of each of the 256 values that a map may store."""

    class_of_value: tuple[int, ...]

    def size(self, picture: str) -> tuple[int, int]:
        """Return a map's [height, width], read from its header.

        Raises:
            DataError: it cannot be read, or does not hold class ids.
        """
        return _read(self.path(picture), lambda stored: (stored.height, stored.width))

    def load(self, picture: str) -> NDArray[np.uint8]:
        """Return a map's classes [height, width].

        Raises:
            DataError: it cannot be read, does not hold class ids, or has a value that is no class.
        """
        stored = _read(self.path(picture), partial(np.asarray, dtype=np.uint8))
        classes = np.array(self.class_of_value)
        present = np.bincount(stored.ravel(), minlength=256) > 0
        strange = np.flatnonzero(present & (classes == NO_CLASS)).tolist()
        if strange:
            raise DataError(
                f"{self.path(picture)} has pixels of value {first_few(list(map(str, strange)), 3)}, which is no class",
                "correct dataset.reader: classes, ignore and values tell which pixels are of which class",
            )
        mapped: NDArray[np.uint8] = classes.astype(np.uint8)[stored]
        return mapped


def _read(path: Path, read: Callable[[Image.Image], T]) -> T:
    with opened_picture(path, "label map") as stored:
        if stored.mode not in ID_MODES:
            raise DataError(
                f"{path} is a picture of mode {stored.mode}, not a label map: maps store a byte a pixel, the class",
                "give maps of class ids, grey or with a palette; colours must be converted first",
            )
        return read(stored)


def _shown(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"

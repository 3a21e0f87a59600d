"""What the readers of annotated pictures share: objects of the wanted pictures, which a listing leaves out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.core import DataError, first_few
from runner.data import HashFiles, Picture, Request, picture_size
from runner.tasks.detection.boxes import Objects
from runner.tasks.listed import ListedPictures, check_files


@dataclass(frozen=True)
class Annotated:
    """A picture's [height, width] and objects, as they are annotated."""

    size: tuple[int, int]
    objects: Objects


class AnnotatedPictures(ListedPictures):
    """A reader of picture files with objects, which are read of the wanted pictures alone."""

    @abstractmethod
    def _annotated(self, pictures: Sequence[Picture]) -> Sequence[Annotated]:
        """Return what is annotated in the pictures; raises DataError where it cannot be read."""

    @property
    @abstractmethod
    def _list_file(self) -> tuple[Path, str]:
        """The file that names the pictures, and what to do where one that it names is missing."""

    @abstractmethod
    def _annotation_files(self, pictures: Sequence[Picture]) -> tuple[Path, Sequence[Path]]:
        """Return a folder, and the files below it that tell the pictures' objects."""

    def _check(self, request: Request) -> None:
        pictures = self._wanted(request)
        check_files(self._listing.folder, [picture.item for picture in pictures], *self._list_file)
        annotated = self._annotated(pictures)
        super()._check(request)
        if not any(each.objects["boxes"] for each in annotated):
            raise DataError(
                f"none of the {len(pictures)} pictures has an object, so that nothing can be scored",
                "raise limit, or give annotations that have objects",
            )

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        folder, files = self._annotation_files(self._wanted(request))
        return {**super().content(request, hash_files), "annotations": list(hash_files(folder, files))}

    def _complete(self, pictures: Sequence[Picture]) -> Sequence[Picture]:
        annotated = self._annotated(pictures)
        _check_sizes(self._listing.folder, pictures, annotated)
        return [replace(picture, truth=each.objects) for picture, each in zip(pictures, annotated, strict=True)]


def _check_sizes(folder: Path, pictures: Sequence[Picture], annotated: Sequence[Annotated]) -> None:
    """Check that the annotations were made for pictures of these sizes: boxes would be in other places."""
    wrong = []
    for picture, each in zip(pictures, annotated, strict=True):
        height, width = picture_size(folder / picture.item)
        if (height, width) != each.size:
            wrong.append(f"{picture.item} is {width}x{height} pixels and annotated as {each.size[1]}x{each.size[0]}")
    if wrong:
        raise DataError(
            f"{len(wrong)} pictures in {folder} are not those that were annotated: {first_few(wrong, 3)}",
            "use the original pictures: resized or rotated copies do not fit the boxes; EXIF's rotation is not applied",
        )

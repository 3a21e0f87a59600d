"""What the readers of annotated pictures share: from a listing of files and objects to samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import DataError, Problem, Samples, first_few
from runner.data import (
    HashFiles,
    Picture,
    Policy,
    Request,
    files_source,
    picture_bytes,
    picture_problems,
    picture_size,
    sample_ids,
    write_samples,
)
from runner.tasks.detection.boxes import Objects


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The pictures to prepare, of `available` ones: files relative to `folder`, sizes [height, width], and objects.

    `annotations` are the files that tell the objects, relative to `annotation_folder`.
    """

    folder: Path
    files: Sequence[str]
    sizes: Sequence[tuple[int, int]]
    objects: Sequence[Objects]
    annotation_folder: Path
    annotations: Sequence[Path]
    available: int
    note: str | None = None


class AnnotatedPictures(ABC):
    """A reader of picture files with objects; a subclass lists them."""

    needs_policy = False
    seeded = False

    @abstractmethod
    def _list(self, limit: int | None) -> Listing:
        """List the first `limit` pictures.

        Raises:
            DataError: files are missing or contradict each other.
        """

    def _complete(self, listing: Listing) -> Sequence[Objects]:
        """Return the pictures' objects with what is too slow for `_list`."""
        return listing.objects

    def validate(self, request: Request) -> list[Problem]:
        problems = picture_problems(request)
        try:
            listing = self._list(request.limit)
            if not problems:
                picture_bytes(files_source(listing.folder, request.geometry), listing.files, request)
        except DataError as error:
            return [*problems, error.problem]
        if not any(objects["boxes"] for objects in listing.objects):
            problems.append(
                Problem(
                    f"none of the {len(listing.files)} pictures has an object, so that nothing can be scored",
                    "raise limit, or give annotations that have objects",
                )
            )
        return problems

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        listing = self._list(request.limit)
        return {
            "files": list(listing.files),
            "annotations": list(hash_files(listing.annotation_folder, listing.annotations)),
            "sha256": list(hash_files(listing.folder, [Path(file) for file in listing.files])),
        }

    def stored_bytes(self, request: Request) -> int:
        listing = self._list(request.limit)
        return picture_bytes(files_source(listing.folder, request.geometry), listing.files, request)

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        listing = self._list(request.limit)
        _check_sizes(listing)
        pictures = list(map(Picture, listing.files, sample_ids(listing.files), self._complete(listing)))
        source = files_source(listing.folder, request.geometry)
        return write_samples(source, pictures, request, out, available=listing.available, note=listing.note)


def check_files(folder: Path, files: Sequence[str], source: Path) -> None:
    """Check that the pictures that `source` lists exist.

    Raises:
        DataError: some are missing.
    """
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(files)} pictures that {source} lists are not in {folder}: "
            + first_few(missing, 3),
            "fetch them, take them out of the list, or give the folder that they lie in as dataset.reader.pictures",
        )


def _check_sizes(listing: Listing) -> None:
    """Check that the annotations were made for pictures of these sizes: boxes would be in other places."""
    wrong = []
    for file, size in zip(listing.files, listing.sizes, strict=True):
        height, width = picture_size(listing.folder / file)
        if (height, width) != tuple(size):
            wrong.append(f"{file} is {width}x{height} pixels and annotated as {size[1]}x{size[0]}")
    if wrong:
        raise DataError(
            f"{len(wrong)} pictures in {listing.folder} are not those that were annotated: {first_few(wrong, 3)}",
            "use the original pictures: resized or rotated copies do not fit the boxes; EXIF's rotation is not applied",
        )

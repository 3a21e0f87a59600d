"""Pictures in files that a data set lists with their ground truth."""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from runner.core import DataError, Problem, Samples, bounds, first_few, read_regular
from runner.data import (
    HashFiles,
    Picture,
    PictureSource,
    Policy,
    Request,
    files_source,
    list_pictures,
    picture_bytes,
    picture_problems,
    size_problem,
    storage,
    write_samples,
)

LARGEST_BYTES = 4 << 30
"""Limit of a list or of annotations; those of COCO's 118,287 training pictures have 0.5 GB."""


def text_of(path: Path) -> str:
    """Return the text of a list of pictures, in UTF-8 with or without a byte order mark.

    Raises:
        OSError: it cannot be read, or is no regular file. UnicodeDecodeError: it is not UTF-8.
    """
    return read_regular(path, LARGEST_BYTES).decode("utf-8-sig")


def lines_of(path: Path, complaint: str, fix: str) -> Iterator[tuple[str, str]]:
    """Yield each line of a list that is not blank, without white space around it, after its place `path:number`.

    Raises:
        DataError: the list cannot be read, or is not in UTF-8; `complaint` and `fix` are part of it.
    """
    try:
        text = text_of(path)
    except OSError as error:
        raise DataError(f"{complaint}: {path}: {error.strerror}", fix) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{complaint}: {path} is not a text file in UTF-8: {error}", fix) from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}", line.strip()


def check_files(folder: Path, files: Sequence[str], source: Path, fix: str) -> None:
    """Check that the pictures that the file `source` lists exist below `folder`; `files` are relative to it.

    Raises:
        DataError: some are missing; `fix` is part of it.
    """
    missing = [file for file in files if leads_out(file) or not is_file(folder / file)]
    if missing:
        raise DataError(
            f"{len(missing)} of the {len(files)} pictures that {source} lists are not in {folder}: "
            + first_few(missing, 3),
            fix,
        )


def is_file(path: Path) -> bool:
    """Return whether a path is that of a file; a name that is longer than any file's is not."""
    try:
        return path.is_file()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def leads_out(file: str) -> bool:
    """Return whether a path leads out of the folder that it is relative to, or names no file."""
    path = PurePosixPath(file)
    return path.is_absolute() or ".." in path.parts or not path.name


def pictures_ending(folder: Path, suffix: str, fix: str) -> list[str]:
    """Return the pictures below a folder, as `list_pictures` does, whose names end in `suffix`.

    Raises:
        DataError: there are none; `fix` is part of it.
    """
    files = [file for file in list_pictures(folder, fix) if file.endswith(suffix)]
    if not files:
        raise DataError(f"dataset.root: no picture in {folder} has a name that ends in {suffix}", fix)
    return files


@dataclass(frozen=True)
class Counterparts:
    """Files below `folder` that belong to a picture each, such as its label map.

    A picture's has its path, with `picture_suffix` (the extension, if that is empty) replaced by `suffix`, if given.
    """

    folder: Path
    picture_suffix: str
    suffix: str | None

    def path(self, picture: str) -> Path:
        """Return the path of a picture's file."""
        if self.suffix is None:
            return self.folder / picture
        stem = picture.removesuffix(self.picture_suffix) if self.picture_suffix else picture.rpartition(".")[0]
        return self.folder / f"{stem}{self.suffix}"

    def files(self, pictures: Iterable[Picture]) -> list[Path]:
        """Return the paths of the pictures' files, relative to the folder."""
        return [self.path(picture.item).relative_to(self.folder) for picture in pictures]


@dataclass(frozen=True)
class Listing:
    """A data set's pictures in order; their items are paths relative to `folder` with forward slashes."""

    folder: Path
    pictures: Sequence[Picture]
    note: str | None = None


class ListedPictures(ABC):
    """A reader of picture files, a frozen dataclass; a subclass lists them."""

    needs_policy = False
    seeded = False

    @property
    @abstractmethod
    def _listing(self) -> Listing:
        """The pictures; raises DataError if files are missing, unreadable or contradict each other."""

    def _source(self, request: Request) -> PictureSource:
        return files_source(self._listing.folder, request.geometry)

    def _problems(self, request: Request) -> list[Problem]:
        """Return the problems that can be known without the files."""
        return [*picture_problems(request), *bounds.problems(self, "dataset.reader")]

    def _check(self, request: Request) -> None:
        """Check the wanted pictures' headers.

        Raises:
            DataError: one cannot be used.
        """
        self.stored_bytes(request)

    def _complete(self, pictures: Sequence[Picture]) -> Sequence[Picture]:
        """Return the wanted pictures with the ground truth that the listing leaves out.

        Raises:
            DataError: it cannot be read, or does not fit the pictures.
        """
        return pictures

    def _note(self, pictures: Sequence[Picture]) -> str | None:
        """Return a remark on the wanted pictures."""
        return self._listing.note

    def validate(self, request: Request) -> list[Problem]:
        problems = self._problems(request)
        try:
            first = self._listing.pictures[0].item  # the others' sizes are looked at as they are prepared
            if not problems:
                self._check(request)
                problem = size_problem(self._source(request).size_of(first), request)
                problems += [Problem(f"{first}: {problem.message}", problem.fix)] if problem else []
        except DataError as error:
            problems.append(error.problem)
        return problems

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        pictures = self._wanted(request)
        return {
            "ids": [picture.id for picture in pictures],
            "truths": [picture.truth for picture in pictures],
            "sha256": list(hash_files(self._listing.folder, [Path(picture.item) for picture in pictures])),
        }

    def stored_bytes(self, request: Request) -> int:
        return picture_bytes(self._source(request), [picture.item for picture in self._wanted(request)], request)

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        pictures, available = self._complete(self._wanted(request)), len(self._listing.pictures)
        note = self._note(pictures)
        return write_samples(self._source(request), pictures, request, out, available=available, note=note)

    def _wanted(self, request: Request) -> Sequence[Picture]:
        pictures = self._listing.pictures
        return pictures[: storage.wanted_count(request.limit, len(pictures))]

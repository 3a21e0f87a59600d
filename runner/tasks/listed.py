"""Pictures in files that a data set lists with their ground truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import DataError, Problem, Samples, bounds, read_regular
from runner.data import (
    HashFiles,
    Picture,
    PictureSource,
    Policy,
    Request,
    files_source,
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

    def _note(self, pictures: Sequence[Picture]) -> str | None:
        """Return a remark on the wanted pictures."""
        return self._listing.note

    def validate(self, request: Request) -> list[Problem]:
        problems = self._problems(request)
        try:
            if self._listing and not problems:
                self._check(request)
                problems += self._misfits(request)
        except DataError as error:
            problems.append(error.problem)
        return problems

    def _misfits(self, request: Request) -> list[Problem]:
        """Return the problem of the first picture's size: others are looked at as they are prepared."""
        item = self._listing.pictures[0].item
        problem = size_problem(self._source(request).size_of(item), request)
        return [Problem(f"{item}: {problem.message}", problem.fix)] if problem else []

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
        pictures, available = self._wanted(request), len(self._listing.pictures)
        note = self._note(pictures)
        return write_samples(self._source(request), pictures, request, out, available=available, note=note)

    def _wanted(self, request: Request) -> Sequence[Picture]:
        pictures = self._listing.pictures
        return pictures[: storage.wanted_count(request.limit, len(pictures))]

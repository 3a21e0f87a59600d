"""Reader of pictures with the polygons of their words: ICDAR 2015's files, or a list as PaddleOCR writes it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.core import DataError, first_few
from runner.data import Picture, list_pictures, root_folder, same_name, sample_ids
from runner.tasks.listed import ListedPictures, Listing, lines_of

IGNORED = ("###", "*")
"""Transcriptions of words that count for nothing."""
LIST = "labels.txt"
_FIX = (
    "give dataset.root=DIR with pictures/ and words/gt_NAME.txt, lines of x1,y1,x2,y2,x3,y3,x4,y4,text; or with "
    f'{LIST}, lines of NAME<tab>[{{"points": [[x, y], ...], "transcription": "text"}}, ...]'
)


@dataclass(frozen=True)
class Icdar(ListedPictures):
    """`root` holds `pictures`, and `words` with `gt_NAME.txt` for each; or a list, `labels.txt`, beside the pictures.

    Words whose text is `###` or `*` cannot be read and are ignored by the metric.
    """

    root: str | None = None
    pictures: str = "pictures"
    words: str = "words"

    @cached_property
    def _listing(self) -> Listing:
        root = root_folder(self.root, _FIX)
        folder = root / self.pictures if (root / self.pictures).is_dir() else root
        files = list_pictures(folder, _FIX)
        listed = next((path for path in (root / LIST, folder / LIST) if path.is_file()), None)
        if listed is not None:
            return Listing(folder, _of_list(listed, files))
        names = [f"gt_{Path(file).stem}.txt" for file in files]
        if len(set(names)) < len(names):
            raise DataError("{} and {} would have one file of words".format(*same_name(files, names)), "rename one")
        words = [_of_file(root / self.words / name, file) for name, file in zip(names, files, strict=True)]
        return Listing(folder, list(map(Picture, files, sample_ids(files), words)))


def _of_file(path: Path, picture: str) -> dict[str, Any]:
    """Return the words of a file of ICDAR 2015: eight coordinates and the text in each line."""
    polygons, ignored = [], []
    for where, line in lines_of(path, f"{picture} has no file of words", _FIX):
        fields = line.split(",", 8)
        try:
            values = [float(value) for value in fields[:8]]
        except ValueError:
            values = []
        if len(values) < 8:
            raise DataError(f"{where}: {line[:80]!r} is not x1,y1,x2,y2,x3,y3,x4,y4,text", "correct the line")
        polygons.append([values[index : index + 2] for index in range(0, 8, 2)])
        ignored.append((fields[8] if len(fields) > 8 else "").strip() in IGNORED)
    return {"polygons": polygons, "ignored": ignored}


def _of_list(path: Path, files: list[str]) -> list[Picture]:
    """Return the pictures that a list names, in its order."""
    named = _by_name(files)
    words: dict[str, dict[str, Any]] = {}
    missing = []
    for where, line in lines_of(path, "the list of pictures cannot be read", _FIX):
        name, _, text = line.partition("\t")
        file = named.get(name.strip()) or named.get(name.strip().rpartition("/")[2])
        if file is None:
            missing.append(name)
        elif file in words:
            raise DataError(f"{where}: {file} has a line above already", "remove one of the lines")
        else:
            words[file] = _words(where, text)
    if missing:
        raise DataError(
            f"{len(missing)} pictures that {path} lists are not there: {first_few(missing, 3)}",
            "put them beside it, or take their lines away; where several have one name, give their paths from there",
        )
    if not words:
        raise DataError(f"{path} lists no pictures", _FIX)
    return list(map(Picture, words, sample_ids(list(words)), words.values()))


def _by_name(files: list[str]) -> dict[str, str]:
    """Return the pictures by their paths, and by the names that only one of them has: lists may have other folders."""
    names = [file.rpartition("/")[2] for file in files]
    count = Counter(names)
    unique = {name: file for name, file in zip(names, files, strict=True) if count[name] == 1}
    return unique | {file: file for file in files}


def _words(where: str, text: str) -> dict[str, Any]:
    try:
        words = json.loads(text)
        polygons = [[[float(x), float(y)] for x, y in word["points"]] for word in words]
        ignored = [word["transcription"] in IGNORED for word in words]
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise DataError(
            f"{where}: the words cannot be read: {error}",
            'write NAME<tab>[{"points": [[x, y], ...], "transcription": "text"}, ...]',
        ) from error
    return {"polygons": polygons, "ignored": ignored}

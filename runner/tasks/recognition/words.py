"""Reader of pictures of words or lines of text."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from runner.core import DataError, at_home, first_few, one_of
from runner.data import Picture, Request, file_names, find_pictures, root_folder, sample_ids
from runner.tasks.listed import ListedPictures, Listing, check_files, lines_of
from runner.tasks.recognition.ctc import is_known

LABEL_FILE = "labels.txt"
PICTURES = "pictures"
ROOT_FIX = "give dataset.root=DIR holding labels.txt and the pictures, or dataset=synthetic_words to try without"
LABEL_FIX = (
    'write a line per picture, as in `0001.png text`, `0001.png, "text"`, or with a tab between name and text; '
    "in a .csv file, as in `0001.png,text`, and without a heading"
)
_QUOTED = re.compile(r'(\S+),\s*"(.*)"')
"""A line of ICDAR's lists."""


@dataclass(frozen=True)
class Words(ListedPictures):
    """Pictures below `root`, or `root`/pictures, with the text in each.

    `text_from` list: `labels` (labels.txt in `root` by default) is a UTF-8 file with a line `name text`,
    `name, "text"` (as of ICDAR), or name and text with a tab between (as of PP-OCR) per picture, or a .csv file of
    the two columns, without a heading; samples are in its order, and pictures that it does not name are left out.
    `text_from` name: the text is the file's name up to the first underscore or dot, and `labels` is unused.
    `alphabet` are the characters that the model knows, if they are known.
    """

    root: str | None = None
    labels: str | None = None
    text_from: str = one_of("list", "name")
    alphabet: str | Sequence[str] | None = None

    def _check(self, request: Request) -> None:
        super()._check(request)
        _check_readable(self._listing.pictures, self.alphabet)

    def _note(self, pictures: Sequence[Picture]) -> str | None:
        return _unreadable_note(pictures, self.alphabet)

    @cached_property
    def _listing(self) -> Listing:
        return _named_listing(self.root) if self.text_from == "name" else _listed(self.root, self.labels)


def _named_listing(root: str | None) -> Listing:
    folder, files = find_pictures(root, PICTURES, ROOT_FIX)
    texts = [name.partition("_")[0] for name in file_names(files)]
    empty = [file for file, text in zip(files, texts, strict=True) if not text]
    if empty:
        raise DataError(
            f"{len(empty)} of the {len(files)} pictures in {folder} have no text before the first underscore of their "
            f"names: {first_few(empty, 3)}",
            "rename them, or give a list with dataset.reader.text_from=list",
        )
    return Listing(folder, list(map(Picture, files, sample_ids(files), texts)))


def _listed(root: str | None, labels: str | None) -> Listing:
    base = root_folder(root, ROOT_FIX)
    label_file = base / LABEL_FILE if labels is None else at_home(labels)
    texts = read_texts(label_file)
    folder = base / PICTURES if (base / PICTURES).is_dir() else base
    fix = (
        "add them, take their lines out, or give the right folder with dataset.root=DIR; after a name with spaces "
        "stands a tab"
    )
    check_files(folder, list(texts), label_file, fix)
    return Listing(folder, list(map(Picture, texts, sample_ids(list(texts)), texts.values())))


def read_texts(path: Path) -> dict[str, str]:
    """Return texts by picture, in the order of the list.

    Raises:
        DataError: the file cannot be read, is empty, a line has no text, or a picture has two lines.
    """
    fix = f"give dataset.labels=FILE, or dataset.reader.text_from=name; {LABEL_FIX}"
    parse = _parse_columns if path.suffix.lower() == ".csv" else _parse
    texts: dict[str, str] = {}
    for where, line in lines_of(path, "dataset.labels", fix):
        name, text = parse(line)
        if not text:
            raise DataError(f"{where}: {line[:80]!r} is not `name text`", LABEL_FIX)
        if name in texts:
            raise DataError(f"{where}: {name} has a line above already", "remove one of the lines")
        texts[name] = text
    if not texts:
        raise DataError(f"dataset.labels: {path} lists no pictures", LABEL_FIX)
    return texts


def _parse(line: str) -> tuple[str, str]:
    """Return name and text of a line; the text is empty if there is none."""
    # the first condition keeps a line of a million `,"` from being matched for hours
    quoted = _QUOTED.fullmatch(line) if line.endswith('"') and "\t" not in line else None
    if quoted is not None:
        return quoted[1], re.sub(r'\\(["\\])', r"\1", quoted[2])
    name, _, text = line.partition("\t") if "\t" in line else line.replace(" ", "\t", 1).partition("\t")
    return name.strip(), text.strip()


def _parse_columns(line: str) -> tuple[str, str]:
    """Return the two columns of a line of a .csv file; the text is empty if there are more or fewer."""
    try:
        (columns,) = csv.reader([line], skipinitialspace=True)
    except csv.Error:  # such as a column beyond csv.field_size_limit()
        return line, ""
    return (columns[0].strip(), columns[1].strip()) if len(columns) == 2 else (line, "")


def _check_readable(pictures: Sequence[Picture], alphabet: str | Sequence[str] | None) -> None:
    if is_known(alphabet) and len(_unreadable(pictures, alphabet)) == len(pictures):
        raise DataError(
            f"each of the {len(pictures)} texts has characters that model.decode.alphabet lacks, "
            f"as {pictures[0].truth!r}",
            "choose a data set in the model's script, or correct model.decode.alphabet",
        )


def _unreadable_note(pictures: Sequence[Picture], alphabet: str | Sequence[str] | None) -> str | None:
    """Return a note on the texts that a model with this alphabet cannot get right, if there are any."""
    unreadable = _unreadable(pictures, alphabet) if is_known(alphabet) else {}
    if not unreadable:
        return None
    lacking = sorted(set().union(*unreadable.values()))
    return (
        f"{len(unreadable)} of {len(pictures)} texts have characters that the model's alphabet lacks "
        f"({first_few(lacking, 8)}) and count as they are read"
    )


def _unreadable(pictures: Sequence[Picture], alphabet: str | Sequence[str]) -> dict[int, set[str]]:
    """Return the characters that the alphabet lacks in either case, by the index of the text that has them."""
    known = set("".join(alphabet).casefold())
    lacking = {index: set(picture.truth.casefold()) - known for index, picture in enumerate(pictures)}
    return {index: characters for index, characters in lacking.items() if characters}

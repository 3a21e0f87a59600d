"""Metadata of each row of the prepared samples: `<folder>/rows.jsonl`, one JSON object per line, read in order.

Memory holds one row at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from runner.core import JSON_ERRORS, DataError
from runner.core.lazy import NDArray, np

FILE = "rows.jsonl"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Metadata of one row of the arrays.

    `truth` is the ground truth of its sample: in JSON types, such as a class index, or an array, such as a label map
    (which `storage.facts` reads); None if it is unknown. `sample` is the id of the sample it belongs to, if a sample
    has several rows (tiles, crops, views); they are consecutive, and the first one has the truth.

    Of a picture: `original_size` is [height, width] in pixels, `scale` what its height and width were multiplied by,
    and `padding` the pixels added above, left, below and right of the resized picture, negative where it was cut.
    """

    id: str
    truth: Any = None
    sample: str | None = None
    original_size: tuple[int, int] | None = None
    scale: tuple[float, float] | None = None
    padding: tuple[int, int, int, int] | None = None

    @property
    def sample_id(self) -> str:
        """The id of the sample it belongs to."""
        return self.sample or self.id

    @property
    def resized_size(self) -> tuple[int, int] | None:
        """[height, width] of the picture before it was padded or cut; None if the row is not of a picture."""
        if self.original_size is None or self.scale is None:
            return None
        return round(self.original_size[0] * self.scale[0]), round(self.original_size[1] * self.scale[1])

    @property
    def size(self) -> tuple[int, int] | None:
        """[height, width] of the row itself, with its padding; None if it is not of a picture."""
        resized = self.resized_size
        if resized is None:
            return None
        top, left, bottom, right = self.padding or (0, 0, 0, 0)
        return top + resized[0] + bottom, left + resized[1] + right

    def to_original(self, points: NDArray[Any]) -> NDArray[Any]:
        """Return points [..., 2], x and y in pixels of the row, in pixels of its original picture, in the same type."""
        top, left, _, _ = self.padding or (0, 0, 0, 0)
        down, across = self.scale or (1.0, 1.0)
        kept: NDArray[Any] = (points - np.array((left, top), points.dtype)) / np.array((across, down), points.dtype)
        return kept


def write(folder: Path, rows: Iterable[Row]) -> Path:
    """Write the metadata of the rows, in the order of the arrays; return the file."""
    path = folder / FILE
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for row in rows:
            known = {name: value for name, value in vars(row).items() if value is not None}
            file.write(encoder.encode(known) + b"\n")
    return path


def read(folder: Path, indices: Sequence[int] | None = None) -> Iterator[Row]:
    """Yield the metadata of all rows, or of those at `indices` in that order; ascending ones are read in one pass.

    Raises:
        DataError: the file is missing, or is not what `write` wrote.
    """
    path = folder / FILE
    decoder = msgspec.json.Decoder(Row)
    try:
        with path.open("rb") as file:
            if indices is None:
                yield from map(decoder.decode, file)
                return
            done = 0
            for index in indices:
                if index < done:
                    done = file.seek(0)
                line = next(islice(file, index - done, None))
                done = index + 1
                yield decoder.decode(line)
    except (OSError, StopIteration, *JSON_ERRORS) as error:
        raise DataError(
            f"the prepared samples {path} cannot be read: {error}", "run again with force=[prepare]"
        ) from error


def ids(folder: Path) -> list[str]:
    """Return the ids of all rows, in order."""
    return [row.id for row in read(folder)]

"""Pictures that are drawn from a seed, to try a model without its data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

from runner.core import Problem, Samples, bounded, bounds
from runner.core.lazy import Image, np
from runner.data import (
    HashFiles,
    Picture,
    PictureSource,
    Policy,
    Request,
    picture_bytes,
    picture_problems,
    size_problem,
    storage,
    write_samples,
)

MOST_PICTURES = 10_000_000
"""In one run: names and labels of all are held in memory. ImageNet has 1.3 million to train with."""
LONGEST_SIDE = 65_535
"""In pixels: that of a JPEG file."""


def draw_shapes(
    picture: Image.Image, random: np.random.Generator, count: int, outside: float, sides: tuple[float, float]
) -> None:
    """Draw ellipses and rectangles of random colours into a picture.

    Args:
        outside: How far they may begin left of the picture or above it, as a share of the picture.
        sides: The least and the largest width and height, as shares of the picture.
    """
    from PIL import ImageDraw

    pencil = ImageDraw.Draw(picture)
    for _ in range(count):
        left, top = random.uniform(-outside, 0.9, 2) * picture.size
        right, bottom = (left, top) + random.uniform(*sides, 2) * picture.size
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        draw = pencil.ellipse if random.random() < 0.5 else pencil.rectangle
        draw((left, top, right, bottom), fill=colour)


@dataclass(frozen=True)
class DrawnPictures(ABC):
    """`count` seeded pictures of `width` x `height` pixels, drawn by the workers and never stored on disk.

    An item is what a subclass draws a picture from, by default its index.
    """

    count: int = bounded(least=1, most=MOST_PICTURES)
    width: int = bounded(least=1, most=LONGEST_SIDE)
    height: int = bounded(least=1, most=LONGEST_SIDE)

    needs_policy = False
    seeded = True
    things = "pictures"
    """What they show, in messages."""
    id_prefix = "synthetic_"

    @abstractmethod
    def _draw(self, seed: int, item: str) -> Image.Image:
        """Draw a picture in RGB."""

    def _size(self, seed: int, item: str) -> tuple[int, int]:
        """Return a picture's [height, width]."""
        return self.height, self.width

    def _truths(self, seed: int, items: Sequence[str]) -> Iterable[Any]:
        """Return the ground truths in JSON types of at least the items."""
        return repeat(None)

    def _items(self, seed: int, count: int) -> list[str]:
        return list(map(str, range(count)))

    def _source(self, request: Request) -> PictureSource:
        return PictureSource(load=partial(self._load, request), size_of=partial(self._size, request.seed))

    def _problems(self, request: Request) -> list[Problem]:
        """Return the problems that do not depend on the pictures' sizes."""
        return [*picture_problems(request), *bounds.problems(self, "dataset.reader")]

    def validate(self, request: Request) -> list[Problem]:
        return self._problems(request) or list(self._size_problems(request))

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        return None

    def stored_bytes(self, request: Request) -> int:
        return picture_bytes(self._source(request), self._wanted(request), request)

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        items = self._wanted(request)
        ids = storage.numbered(self.id_prefix, len(items), 5, self.count)
        return write_samples(
            self._source(request),
            list(map(Picture, items, ids, self._truths(request.seed, items))),
            request,
            out,
            available=self.count,
            substitute=f"synthetic {self.things} generated from seed {request.seed}",
        )

    def _wanted(self, request: Request) -> list[str]:
        return self._items(request.seed, storage.wanted_count(request.limit, self.count))

    def _load(self, request: Request, item: str) -> Image.Image:
        picture = self._draw(request.seed, item)
        return picture.convert("L") if request.geometry.channels == "grey" else picture

    def _size_problems(self, request: Request) -> Iterator[Problem]:
        """Yield a problem for the first size, [height, width], that does not become what the model takes."""
        for size in sorted({self._size(request.seed, item) for item in self._wanted(request)}):
            problem = size_problem(size, request)
            if problem:
                fix = "set dataset.reader.width and dataset.reader.height to what the model takes"
                yield Problem(problem.message, fix)
                return

"""A preview of text detection: the first pictures with the polygons found, and the words' own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from runner.core.lazy import Image
from runner.tasks.preview import Example, grid

PICTURES = 12
FOUND, TRUTH = (230, 40, 40), (30, 170, 60)


def write_polygons(examples: Iterator[Example], folder: Path) -> Path | None:
    """Write the first pictures with what was found in red and the words in green to preview.png."""
    cells = [_drawn(example) for example in islice(examples, PICTURES)]
    return grid(cells, folder / "preview.png")


def _drawn(example: Example) -> Image.Image:
    from PIL import ImageDraw

    picture = example.picture.copy()
    pencil = ImageDraw.Draw(picture)
    width = max(1, max(picture.size) // 300)
    truths = example.truth["polygons"] if example.truth else []
    for colour, polygons in ((TRUTH, truths), (FOUND, example.result.points)):
        for points in polygons:
            corners = [tuple(map(float, point)) for point in points]
            pencil.line([*corners, corners[0]], fill=colour, width=width)
    return picture

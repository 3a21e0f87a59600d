"""A preview of restored pictures: before, after and the truth beside each other, whole and enlarged."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from runner.core.lazy import Image
from runner.tasks.preview import Example, as_picture, grid

PICTURES = 8
PANEL_PIXELS = 256
ENLARGED_PIXELS = 64
"""The side of the part of the true picture that is shown enlarged."""


def write_comparison(examples: Iterator[Example], folder: Path) -> Path | None:
    """Write before, after and truth of the first pictures, a line each: whole, then their centres enlarged."""
    panels = [panel for example in islice(examples, PICTURES) for panel in _panels(example)]
    return grid(panels, folder / "preview.png", columns=6, cell_width=PANEL_PIXELS)


def _panels(example: Example) -> list[Image.Image]:
    from PIL import ImageOps

    pictures = [example.picture, as_picture(example.result), as_picture(example.truth)]
    whole = [ImageOps.pad(picture, (PANEL_PIXELS, PANEL_PIXELS)) for picture in pictures]
    return [*whole, *(_enlarged(picture, picture.width / pictures[-1].width) for picture in pictures)]


def _enlarged(picture: Image.Image, scale: float) -> Image.Image:
    """Return the picture's centre as a panel, pixel by pixel; `scale` is its width in that of the truth."""
    side = max(1.0, min(ENLARGED_PIXELS * scale, *picture.size))
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    part = (left, top, left + side, top + side)
    return picture.resize((PANEL_PIXELS, PANEL_PIXELS), Image.Resampling.NEAREST, part)

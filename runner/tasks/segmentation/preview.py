"""A preview of segmentation: pictures with their label maps laid over."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from runner.core.lazy import Image, NDArray, np
from runner.tasks.preview import Example, narrowed

EXAMPLES = 8
PANEL_PIXELS = 528
"""Largest width of a picture: three lie side by side."""
OPACITY = 0.6
BORDER_PIXELS = 4


def palette() -> NDArray[np.uint8]:
    """Return 256 colours [256, 3]: those of PASCAL VOC, in which the bits of a class are dealt to the three channels.

    Class 0 is black; neighbouring classes differ in their highest bits.
    """
    numbers = np.arange(256)[:, None]
    return sum(
        (((numbers >> (3 * bit + np.arange(3))) & 1) << (7 - bit) for bit in range(8)), np.zeros((256, 3), np.intp)
    ).astype(np.uint8)


def write_maps(examples: Iterator[Example], folder: Path) -> Path | None:
    """Write the first pictures as preview.png: one a line, then its prediction laid over, then its truth, if known."""
    lines = [_line(example) for example in islice(examples, EXAMPLES)]
    if not lines:
        return None
    sheet = Image.new("RGB", (max(line.width for line in lines), sum(line.height for line in lines)))
    top = 0
    for line in lines:
        sheet.paste(line, (0, top))
        top += line.height
    target = folder / "preview.png"
    sheet.save(target)
    return target


def _line(example: Example) -> Image.Image:
    maps = [each for each in (example.result, example.truth) if each is not None]
    picture = narrowed(example.picture, PANEL_PIXELS)
    panels = [picture, *(_laid_over(picture, each) for each in maps)]
    line = Image.new("RGB", (len(panels) * (picture.width + BORDER_PIXELS), picture.height + BORDER_PIXELS))
    for number, panel in enumerate(panels):
        line.paste(panel, (number * (picture.width + BORDER_PIXELS), 0))
    return line


def _laid_over(picture: Image.Image, label_map: NDArray[Any]) -> Image.Image:
    """Lay the classes' colours over a picture."""
    classes = Image.fromarray(np.asarray(label_map, np.uint8)).resize(picture.size, Image.Resampling.NEAREST)
    return Image.blend(picture, Image.fromarray(palette()[np.asarray(classes)]), OPACITY)

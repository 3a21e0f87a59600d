"""A preview of texts read: each picture with what was read, green if right, else red with the true text below."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from runner.core.lazy import Image
from runner.tasks.preview import Example, grid

PICTURES = 12
CELL_PIXELS = (640, 64)
"""Width and height of a picture and its texts."""
PICTURE_PIXELS = (300, 64)
"""The largest width and height of a picture in its cell."""
TEXT_PIXELS = 24
CHINESE_FONTS = ("NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc", "msyh.ttc", "simsun.ttc", "PingFang.ttc")
"""Fonts that are tried for texts beyond Latin-1, which PIL's own font lacks."""


def write_texts(examples: Iterator[Example], folder: Path) -> Path | None:
    """Write the first pictures with the texts read and, where these differ, the true ones.

    Characters that no font on the machine can draw are written as their codes, such as \\u4eac.
    """
    cells = [_cell(example) for example in islice(examples, PICTURES)]
    return grid(cells, folder / "preview.png", columns=2, cell_width=CELL_PIXELS[0])


def _cell(example: Example) -> Image.Image:
    from PIL import ImageDraw, ImageOps

    right = example.result == example.truth
    texts = [(example.result, "green")] if right else [(example.result, "red"), (example.truth, "black")]
    cell = Image.new("RGB", CELL_PIXELS, "white")
    cell.paste(ImageOps.contain(example.picture, PICTURE_PIXELS))
    pencil = ImageDraw.Draw(cell)
    for line, (text, colour) in enumerate(texts):
        drawn, font = _drawable(text)
        pencil.text((PICTURE_PIXELS[0] + 8, line * PICTURE_PIXELS[1] // 2), drawn, colour, font)
    return cell


def _drawable(text: str) -> tuple[str, Any]:
    """Return what of the text can be drawn, and the font to draw it with."""
    from PIL import ImageFont

    if any(character > "\xff" for character in text):
        for name in CHINESE_FONTS:
            try:
                return text, ImageFont.truetype(name, TEXT_PIXELS)
            except OSError:  # not on this machine
                continue
    return text.encode("latin-1", "backslashreplace").decode("latin-1"), ImageFont.load_default(TEXT_PIXELS)

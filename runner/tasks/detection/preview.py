"""A preview of detection: the first pictures with the boxes found, and the objects' own."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from runner.core.lazy import Image, np
from runner.tasks.detection._masks import mask_tools
from runner.tasks.detection.boxes import Boxes
from runner.tasks.preview import Example, grid, narrowed

PICTURES = 12
WIDTH = 480
"""Of the drawn pictures, in pixels: labels are drawn in the final size."""
LEAST_SCORE = 0.25
OPACITY = 0.5
TRUTH = (255, 255, 255)
LABEL_HEIGHT = 11
"""Of Pillow's built-in font, in pixels."""


def write_boxes(examples: Iterator[Example], folder: Path, names: list[str] | None = None) -> Path | None:
    """Write the first pictures to preview.png: objects in white, what was found in its class's colour, with its score.

    Only detections with a score of at least 0.25 are drawn. `names` of the classes replace their indices, if the data
    set has as many.
    """
    cells = [_drawn(example, names or ()) for example in islice(examples, PICTURES)]
    return grid(cells, folder / "preview.png", cell_width=WIDTH)


def class_colour(index: int) -> tuple[int, int, int]:
    """Return a bright colour that differs from those of the next classes: hues one golden ratio apart."""
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.6, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _drawn(example: Example, names: Sequence[str]) -> Image.Image:
    from PIL import ImageDraw

    found: Boxes = example.result
    drawn = [index for index in np.argsort(found.scores).tolist() if found.scores[index] >= LEAST_SCORE]
    picture = narrowed(_with_masks(example.picture, found, drawn), WIDTH)
    ratio = picture.width / example.picture.width
    pencil = ImageDraw.Draw(picture)
    named = example.truth is not None and len(names) == example.truth["class_count"]
    for box in example.truth["boxes"] if example.truth else []:
        pencil.rectangle([edge * ratio for edge in box], outline=TRUTH)
    for index in drawn:
        kind = int(found.classes[index])
        left, top, right, bottom = (found.boxes[index] * ratio).tolist()
        pencil.rectangle((left, top, right, bottom), outline=class_colour(kind), width=2)
        label = f"{names[kind] if named else kind} {found.scores[index]:.2f}"
        corner = (left + 2, max(0, top - LABEL_HEIGHT))
        pencil.rectangle(pencil.textbbox(corner, label), fill=class_colour(kind))
        pencil.text(corner, label, fill=(0, 0, 0))
    return picture


def _with_masks(picture: Image.Image, found: Boxes, drawn: Sequence[int]) -> Image.Image:
    """Return the picture with the masks of some detections in their classes' colours."""
    if found.masks is None:
        return picture
    pixels = np.array(picture, np.float32)
    for index in drawn:
        inside = mask_tools().decode([found.masks[index]])[:, :, 0].astype(bool)
        pixels[inside] += OPACITY * (np.array(class_colour(int(found.classes[index]))) - pixels[inside])
    return Image.fromarray(pixels.astype(np.uint8))

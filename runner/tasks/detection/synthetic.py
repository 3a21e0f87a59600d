"""Generated pictures with objects, to try a detector without its data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from runner.core import Problem, bounded
from runner.core.lazy import Image, np
from runner.data import Request
from runner.tasks.detection._masks import mask_problems, mask_tools
from runner.tasks.detection.boxes import RLE, Objects, areas, iou
from runner.tasks.detection.preview import class_colour
from runner.tasks.drawn import LONGEST_SIDE, DrawnPictures

TRIES = 10
"""How many shapes are tried in a picture; those that would overlap another are left out."""
LEAST_SIDE = 16
"""Of a picture, in pixels."""


@dataclass(frozen=True)
class SyntheticBoxes(DrawnPictures):
    """`count` seeded pictures of at most `width` x `height` pixels, every other one turned upright.

    Each shows a few rectangles and ellipses that do not overlap, in the colours of `classes` classes. `masks` gives the
    objects' masks too.
    """

    width: int = bounded(least=LEAST_SIDE, most=LONGEST_SIDE)
    height: int = bounded(least=LEAST_SIDE, most=LONGEST_SIDE)
    classes: int = bounded(least=1)
    masks: bool = False

    def _problems(self, request: Request) -> list[Problem]:
        return [*super()._problems(request), *(mask_problems() if self.masks else [])]

    def _size(self, seed: int, item: str) -> tuple[int, int]:
        return self._scene(seed, item).size

    def _truths(self, seed: int, items: Sequence[str]) -> list[Objects]:
        return [self._truth(self._scene(seed, item)) for item in items]

    def _truth(self, scene: _Scene) -> Objects:
        boxes = [shape.box for shape in scene.shapes]
        truth: Objects = {
            "class_count": self.classes,
            "boxes": [list(map(float, box)) for box in boxes],
            "classes": [shape.kind for shape in scene.shapes],
            "areas": areas(np.array(boxes, np.float64)).tolist(),
            "crowd": [0] * len(boxes),
        }
        return {**truth, "masks": [_mask(shape, scene.size) for shape in scene.shapes]} if self.masks else truth

    def _draw(self, seed: int, item: str) -> Image.Image:
        scene = self._scene(seed, item)
        noise = np.random.default_rng([seed, int(item), 1]).integers(70, 150, (*scene.size, 3), dtype=np.uint8)
        picture = Image.fromarray(noise)
        for shape in scene.shapes:
            _draw(picture, shape, class_colour(shape.kind))
        return picture

    def _scene(self, seed: int, item: str) -> _Scene:
        random = np.random.default_rng([seed, int(item)])
        factor = random.uniform(0.5, 1.0)
        height, width = (max(LEAST_SIDE, round(side * factor)) for side in (self.height, self.width))
        if int(item) % 2:
            height, width = width, height
        shapes: list[_Shape] = []
        for _ in range(TRIES):
            across, down = (int(side * random.uniform(0.15, 0.5)) for side in (width, height))
            left, top = random.integers(0, width - across + 1), random.integers(0, height - down + 1)
            box = (int(left), int(top), int(left) + across, int(top) + down)
            others = np.array([shape.box for shape in shapes]).reshape(-1, 4)
            if not iou(np.array([box]), others).any():
                shapes.append(_Shape(int(random.integers(self.classes)), box))
        return _Scene((height, width), shapes)


class _Shape(NamedTuple):
    """Of class `kind`, in the pixels from x1, y1 to before x2, y2."""

    kind: int
    box: tuple[int, int, int, int]


class _Scene(NamedTuple):
    """A picture's [height, width] and shapes."""

    size: tuple[int, int]
    shapes: list[_Shape]


def _draw(picture: Image.Image, shape: _Shape, colour: int | tuple[int, int, int]) -> None:
    """Draw a rectangle, or an ellipse for a class of odd index."""
    from PIL import ImageDraw

    pencil = ImageDraw.Draw(picture)
    left, top, right, bottom = shape.box
    (pencil.ellipse if shape.kind % 2 else pencil.rectangle)((left, top, right - 1, bottom - 1), fill=colour)


def _mask(shape: _Shape, size: tuple[int, int]) -> RLE:
    height, width = size
    picture = Image.new("L", (width, height))
    _draw(picture, shape, 1)
    counts = mask_tools().encode(np.asfortranarray(np.asarray(picture)))["counts"].decode("ascii")
    return {"size": [height, width], "counts": counts}

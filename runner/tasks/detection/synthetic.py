"""Generated pictures with objects, to try a detector without its data set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from runner.core import DataError, Problem, Samples, bounded, bounds
from runner.core.lazy import Image, np
from runner.data import (
    HashFiles,
    Picture,
    PictureSource,
    Policy,
    Request,
    picture_bytes,
    picture_problems,
    place,
    storage,
    write_pictures,
)
from runner.tasks.detection._masks import mask_problems, mask_tools
from runner.tasks.detection.boxes import RLE, Objects, areas, iou
from runner.tasks.detection.preview import class_colour

TRIES = 10
"""How many shapes are tried in a picture; those that would overlap another are left out."""
LEAST_SIDE = 16
"""Of a picture, in pixels."""


@dataclass(frozen=True)
class SyntheticBoxes:
    """`count` seeded pictures of at most `width` x `height` pixels, every other one turned upright.

    Each shows a few rectangles and ellipses that do not overlap, in the colours of `classes` classes. `masks` gives the
    objects' masks too. Pictures are drawn by the workers and never stored on disk.
    """

    count: int = bounded(least=1)
    width: int = bounded(least=LEAST_SIDE)
    height: int = bounded(least=LEAST_SIDE)
    classes: int = bounded(least=1)
    masks: bool = False

    needs_policy = False
    seeded = True

    def validate(self, request: Request) -> list[Problem]:
        problems = [*picture_problems(request), *bounds.problems(self, "dataset.reader")]
        if self.masks:
            problems += mask_problems()
        return problems or self._size_problems(request)

    def _size_problems(self, request: Request) -> list[Problem]:
        tensor, source = request.inputs[0], self._source(request)
        for height, width in sorted({source.size_of(item) for item in self._items(request)}):
            try:
                pieces = place((height, width), request.geometry, tensor.shape[1:])  # type: ignore[arg-type]
                made = f"{pieces[0].size[1]}x{pieces[0].size[0]}"
                if all(tensor.takes((tensor.shape[0], *piece.size)) for piece in pieces):
                    continue
            except DataError as error:
                made = f"unusable: {error.message}"
            message = f"pictures of {width}x{height} become {made} by model.preprocess, and the model takes "
            fix = "set dataset.reader.width and dataset.reader.height to what the model takes"
            return [Problem(f"{message}{list(tensor.shape)}", fix)]
        return []

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        return None

    def stored_bytes(self, request: Request) -> int:
        return picture_bytes(self._source(request), self._items(request), request)

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        items = self._items(request)
        ids = storage.numbered("synthetic_", len(items), 5, self.count)
        truths = [self._truth(_scene(request.seed, self, item)) for item in items]
        return storage.finish(
            out,
            request.inputs,
            write_pictures(self._source(request), list(map(Picture, items, ids, truths)), request, out),
            substitute=f"synthetic pictures generated from seed {request.seed}",
            note=storage.limit_note(request.limit, self.count, "pictures"),
        )

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

    def _items(self, request: Request) -> list[str]:
        return [str(index) for index in range(storage.wanted_count(request.limit, self.count))]

    def _source(self, request: Request) -> PictureSource:
        return PictureSource(
            load=partial(_load, request.seed, self, request.geometry.channels),
            size_of=partial(_size, request.seed, self),
        )


class _Shape(NamedTuple):
    """Of class `kind`, in the pixels from x1, y1 to before x2, y2."""

    kind: int
    box: tuple[int, int, int, int]


class _Scene(NamedTuple):
    """A picture's [height, width] and shapes."""

    size: tuple[int, int]
    shapes: list[_Shape]


def _size(seed: int, reader: SyntheticBoxes, item: str) -> tuple[int, int]:
    return _scene(seed, reader, item).size


def _scene(seed: int, reader: SyntheticBoxes, item: str) -> _Scene:
    random = np.random.default_rng([seed, int(item)])
    factor = random.uniform(0.5, 1.0)
    height, width = (max(LEAST_SIDE, round(side * factor)) for side in (reader.height, reader.width))
    if int(item) % 2:
        height, width = width, height
    shapes: list[_Shape] = []
    for _ in range(TRIES):
        across, down = (int(side * random.uniform(0.15, 0.5)) for side in (width, height))
        left, top = random.integers(0, width - across + 1), random.integers(0, height - down + 1)
        box = (int(left), int(top), int(left) + across, int(top) + down)
        others = np.array([shape.box for shape in shapes]).reshape(-1, 4)
        if not iou(np.array([box]), others).any():
            shapes.append(_Shape(int(random.integers(reader.classes)), box))
    return _Scene((height, width), shapes)


def _load(seed: int, reader: SyntheticBoxes, channels: str, item: str) -> Image.Image:
    scene = _scene(seed, reader, item)
    noise = np.random.default_rng([seed, int(item), 1]).integers(70, 150, (*scene.size, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    for shape in scene.shapes:
        _draw(picture, shape, class_colour(shape.kind))
    return picture.convert("L") if channels == "grey" else picture


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

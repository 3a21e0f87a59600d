"""Drawn shapes with exact label maps, to try a segmentation model without its data set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from runner.core import DataError, Problem, Samples, bounded, bounds
from runner.core.lazy import Image, NDArray, np
from runner.data import (
    HashFiles,
    Picture,
    PictureSource,
    Policy,
    Request,
    TruthArrays,
    picture_bytes,
    picture_problems,
    place,
    storage,
    write_pictures,
)
from runner.tasks.segmentation.preview import palette

SHAPES = 8
NOISE_AMPLITUDE = 24


@dataclass(frozen=True)
class SyntheticShapes:
    """`count` seeded pictures of `width` x `height` pixels: shapes on a background, in a colour for each class.

    Class 0 is the background. `classes` is the number of the network's channels; one channel tells two classes.
    """

    count: int = bounded(least=1)
    width: int = bounded(least=1)
    height: int = bounded(least=1)
    classes: int = bounded(least=1)

    needs_policy = False
    seeded = True

    def validate(self, request: Request) -> list[Problem]:
        problems = [*picture_problems(request), *bounds.problems(self, "dataset.reader")]
        return problems or self._size_problems(request)

    def _size_problems(self, request: Request) -> list[Problem]:
        tensor = request.inputs[0]
        _, *wanted = tensor.shape
        try:
            size = place((self.height, self.width), request.geometry, (wanted[0], wanted[1]))[0].size
            if tensor.takes((tensor.shape[0], *size)):
                return []
            made = f"{size[1]}x{size[0]}"
        except DataError as error:
            made = f"unusable: {error.message}"
        return [
            Problem(
                f"pictures of {self.width}x{self.height} become {made} by model.preprocess, and the model takes "
                f"{list(tensor.shape)}",
                "set dataset.reader.width and dataset.reader.height to what the model takes",
            )
        ]

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        return None

    def stored_bytes(self, request: Request) -> int:
        return picture_bytes(self._source(request), self._items(request), request)

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        items = self._items(request)
        ids = storage.numbered("synthetic_", len(items), 5, self.count)
        return storage.finish(
            out,
            request.inputs,
            write_pictures(self._source(request), list(map(Picture, items, ids)), request, out),
            substitute=f"synthetic pictures generated from seed {request.seed}",
            note=storage.limit_note(request.limit, self.count, "pictures"),
        )

    def _items(self, request: Request) -> list[str]:
        return [str(index) for index in range(storage.wanted_count(request.limit, self.count))]

    def _source(self, request: Request) -> PictureSource:
        draw = partial(draw_map, request.seed, self.width, self.height, self.classes)
        size = partial(_size, self.height, self.width)
        return PictureSource(
            load=partial(_load, request.seed, draw, request.geometry.channels),
            size_of=size,
            truth=TruthArrays(dtype="uint8", shape_of=size, load=draw),
        )


def _size(height: int, width: int, item: str) -> tuple[int, int]:
    return height, width


def draw_map(seed: int, width: int, height: int, classes: int, index: str) -> NDArray[np.uint8]:
    """Return label map `index` of a seed [height, width]: ellipses and rectangles of random classes over class 0."""
    from PIL import ImageDraw

    random = np.random.default_rng([seed, int(index)])
    drawn = Image.new("L", (width, height))
    pencil = ImageDraw.Draw(drawn)
    for _ in range(SHAPES):
        left, top = random.uniform(-0.2, 0.9, 2) * (width, height)
        right, bottom = (left, top) + random.uniform(0.1, 0.5, 2) * (width, height)
        draw = pencil.ellipse if random.random() < 0.5 else pencil.rectangle
        draw((left, top, right, bottom), fill=int(random.integers(0, max(2, classes))))
    return np.array(drawn)


def _load(seed: int, draw: partial[NDArray[np.uint8]], channels: str, index: str) -> Image.Image:
    random = np.random.default_rng([seed, int(index), 1])
    colours = palette()[draw(index)].astype(np.int16) // 2 + 64
    noise = random.integers(-NOISE_AMPLITUDE, NOISE_AMPLITUDE + 1, colours.shape, dtype=np.int16)
    return Image.fromarray((colours + noise).astype(np.uint8)).convert("L" if channels == "grey" else "RGB")

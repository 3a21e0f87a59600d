"""Generated images, to try an image model without its data set."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from runner.core import DataError, Problem, Samples, bounded, bounds
from runner.core.lazy import Image, np
from runner.data import (
    HashFiles,
    Picture,
    PictureSource,
    Policy,
    Request,
    open_picture,
    picture_bytes,
    picture_problems,
    place,
    storage,
    write_pictures,
)

NOISE_AMPLITUDE = 12
SHAPES = 6
JPEG_QUALITY = 90


@dataclass(frozen=True)
class SyntheticImages:
    """`count` seeded JPEG images of `width` x `height` pixels, with random labels of `classes` classes.

    They are processed like images of a folder, but are drawn by the workers and never stored on disk.
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
        tensor, geometry = request.inputs[0], request.geometry
        try:
            pieces = place((self.height, self.width), geometry, tensor.shape[1:])  # type: ignore[arg-type]
            made = f"{pieces[0].size[1]}x{pieces[0].size[0]}"
            if tensor.takes((tensor.shape[0], *pieces[0].size)):
                return []
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
        labels = np.random.default_rng(request.seed).integers(0, self.classes, self.count).tolist()
        ids = storage.numbered("synthetic_", len(items), 5, self.count)
        pictures = list(map(Picture, items, ids, labels))
        return storage.finish(
            out,
            request.inputs,
            write_pictures(self._source(request), pictures, request, out),
            substitute=f"synthetic pictures generated from seed {request.seed}",
            note=storage.limit_note(request.limit, self.count, "pictures"),
        )

    def _items(self, request: Request) -> list[str]:
        return [str(index) for index in range(storage.wanted_count(request.limit, self.count))]

    def _source(self, request: Request) -> PictureSource:
        return PictureSource(
            load=partial(_load, request.seed, self.width, self.height, request.geometry.channels),
            size_of=partial(_size, self.height, self.width),
        )


def _size(height: int, width: int, item: str) -> tuple[int, int]:
    return height, width


def _load(seed: int, width: int, height: int, channels: str, index: str) -> Image.Image:
    jpeg = io.BytesIO()
    draw_picture(seed, int(index), width, height).save(jpeg, "JPEG", quality=JPEG_QUALITY)
    return open_picture(jpeg, channels)


def draw_picture(seed: int, index: int, width: int, height: int) -> Image.Image:
    """Draw image `index` of a seed: a gradient between two colours, shapes, and noise."""
    from PIL import ImageDraw

    random = np.random.default_rng([seed, index])
    across = np.linspace(0, 1, width)[None, :, None] * random.uniform(-1, 1)
    down = np.linspace(0, 1, height)[:, None, None] * random.uniform(-1, 1)
    colours = random.uniform(0, 255, (2, 3))
    gradient = colours[0] + (across + down) * (colours[1] - colours[0])
    picture = Image.fromarray(np.clip(gradient, 0, 255).astype(np.uint8))
    pencil = ImageDraw.Draw(picture)
    for _ in range(SHAPES):
        left, top = random.uniform(-0.2, 0.9, 2) * (width, height)
        right, bottom = (left, top) + random.uniform(0.1, 0.6, 2) * (width, height)
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        draw = pencil.ellipse if random.random() < 0.5 else pencil.rectangle
        draw((left, top, right, bottom), fill=colour)
    noise = random.integers(-NOISE_AMPLITUDE, NOISE_AMPLITUDE + 1, (height, width, 3), dtype=np.int16)
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))

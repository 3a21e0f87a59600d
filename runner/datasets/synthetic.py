"""Pictures out of nothing, to try a picture model without its data set."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runner.artifacts import Samples
from runner.datasets import HashFiles, Policy, Request
from runner.datasets.pictures import picture_faults, picture_tensor, write_pictures
from runner.datasets.storage import (
    finish,
    limit_note,
    numbered,
    positive_faults,
    stored_bytes,
    wanted_count,
)
from runner.errors import Fault
from runner.preprocess import Geometry, load_picture, resized_size

if TYPE_CHECKING:
    from PIL import Image

NOISE_AMPLITUDE = 12
SHAPES = 6
JPEG_QUALITY = 90


@dataclass(frozen=True)
class SyntheticImages:
    """`count` seeded JPEG pictures of `width` x `height` pixels, labelled at random from `classes` classes.

    They take the same way as pictures of a folder, but are drawn by the workers and never lie on the disk.
    """

    count: int
    width: int
    height: int
    classes: int

    needs_policy = False
    seeded = True

    def faults(self, request: Request) -> list[Fault]:
        faults = [*picture_faults(request), *positive_faults(self, "count", "width", "height", "classes")]
        return faults or self._size_faults(request)

    def _size_faults(self, request: Request) -> list[Fault]:
        width, height = resized_size(self.width, self.height, request.geometry.resize, request.geometry.keep_ratio)
        crop = request.geometry.crop
        wanted = request.inputs[0].shape
        if (crop is None and (3, height, width) == wanted) or (crop is not None and crop <= min(width, height)):
            return []
        return [
            Fault(
                f"pictures of {self.width}x{self.height} become {width}x{height} by "
                f"resize {request.geometry.resize}, and the model takes {list(wanted)} with crop {crop}",
                "set dataset.reader.width and dataset.reader.height to what the model takes",
            )
        ]

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        return None

    def stored_bytes(self, request: Request) -> int:
        return stored_bytes((picture_tensor(request),), wanted_count(request.limit, self.count))

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        count = wanted_count(request.limit, self.count)
        tensor = picture_tensor(request)
        load = partial(_load, request.seed, self.width, self.height, request.geometry)
        write_pictures(load, [str(index) for index in range(count)], tensor, out)
        labels = np.random.default_rng(request.seed).integers(0, self.classes, self.count)[:count]
        return finish(
            out,
            request.inputs,
            numbered("synthetic_", count, 5, self.count),
            labels.tolist(),
            stand_in=f"synthetic pictures generated from seed {request.seed}",
            note=limit_note(request.limit, self.count, "pictures"),
        )


def _load(seed: int, width: int, height: int, geometry: Geometry, index: str) -> NDArray[np.uint8]:
    jpeg = io.BytesIO()
    draw_picture(seed, int(index), width, height).save(jpeg, "JPEG", quality=JPEG_QUALITY)
    return load_picture(jpeg, geometry)


def draw_picture(seed: int, index: int, width: int, height: int) -> Image.Image:
    """Picture `index` of a seed: a gradient between two colours, shapes on it, noise over all."""
    from PIL import Image, ImageDraw

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

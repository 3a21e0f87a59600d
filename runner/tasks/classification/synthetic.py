"""Generated images, to try an image model without its data set."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from runner.core import bounded
from runner.core.lazy import Image, np
from runner.data import open_picture
from runner.tasks.drawn import DrawnPictures, draw_shapes

NOISE_AMPLITUDE = 12
SHAPES = 6
JPEG_QUALITY = 90


@dataclass(frozen=True)
class SyntheticImages(DrawnPictures):
    """`count` seeded JPEG images of `width` x `height` pixels, with random labels of `classes` classes."""

    classes: int = bounded(least=1)

    def _truths(self, seed: int, items: Sequence[str]) -> list[int]:
        labels: list[int] = np.random.default_rng(seed).integers(0, self.classes, self.count).tolist()
        return labels

    def _draw(self, seed: int, item: str) -> Image.Image:
        jpeg = io.BytesIO()
        draw_picture(seed, int(item), self.width, self.height).save(jpeg, "JPEG", quality=JPEG_QUALITY)
        return open_picture(jpeg)


def draw_picture(seed: int, index: int, width: int, height: int) -> Image.Image:
    """Draw image `index` of a seed: a gradient between two colours, shapes, and noise."""
    random = np.random.default_rng([seed, index])
    across = np.linspace(0, 1, width)[None, :, None] * random.uniform(-1, 1)
    down = np.linspace(0, 1, height)[:, None, None] * random.uniform(-1, 1)
    colours = random.uniform(0, 255, (2, 3))
    gradient = colours[0] + (across + down) * (colours[1] - colours[0])
    picture = Image.fromarray(np.clip(gradient, 0, 255).astype(np.uint8))
    draw_shapes(picture, random, SHAPES, outside=0.2, sides=(0.1, 0.6))
    noise = random.integers(-NOISE_AMPLITUDE, NOISE_AMPLITUDE + 1, (height, width, 3), dtype=np.int16)
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))

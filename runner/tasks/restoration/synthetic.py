"""Generated textures, to try a network that restores pictures without a data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from runner.core import Problem, bounded
from runner.core.lazy import Image, NDArray, np
from runner.data import PictureSource, Request, TruthArrays
from runner.tasks.drawn import DrawnPictures, draw_shapes
from runner.tasks.restoration import _pixels
from runner.tasks.restoration.readers import shrink

WAVES = 6
SHAPES = 8
SHORTEST_WAVE_PIXELS = 4
LONGEST_WAVE_PIXELS = 40


@dataclass(frozen=True)
class SyntheticTextures(DrawnPictures):
    """`count` seeded pictures of waves and shapes, `width` x `height` pixels as the network gets them.

    The truth is `factor` times as large, and the network gets it made small; where `factor` is 1, it gets the truth
    with noise N(0, sigma) added, in units of 0..255.
    """

    factor: int = bounded(1, least=1)
    sigma: float = bounded(25.0, least=0)

    things = "textures"

    def _problems(self, request: Request) -> list[Problem]:
        return [*super()._problems(request), *_pixels.problems(request)]

    def _source(self, request: Request) -> PictureSource:
        return replace(
            super()._source(request),
            load=partial(self._load_shrunk, request),
            truth=TruthArrays(
                dtype="uint8",
                shape_of=partial(self._truth_shape, request),
                load=partial(self._load_truth, request),
            ),
            alter=partial(_pixels.add_noise, request.seed, self.sigma) if self.factor == 1 else None,
        )

    def _draw(self, seed: int, item: str) -> Image.Image:
        return draw_texture(seed, int(item), self.height * self.factor, self.width * self.factor)

    def _load_shrunk(self, request: Request, item: str) -> Image.Image:
        return shrink(self._load(request, item), self.factor)

    def _load_truth(self, request: Request, item: str) -> NDArray[np.uint8]:
        return _pixels.as_array(self._load(request, item))

    def _truth_shape(self, request: Request, item: str) -> tuple[int, ...]:
        return _pixels.true_shape(request.geometry, (self.height * self.factor, self.width * self.factor))


def draw_texture(seed: int, index: int, height: int, width: int) -> Image.Image:
    """Draw picture `index` of a seed: waves of several lengths and directions, with shapes on top for edges."""
    random = np.random.default_rng([seed, index])
    down, across = np.mgrid[:height, :width]
    values = np.full((height, width, 3), 128.0)
    for _ in range(WAVES):
        angle, phase = random.uniform(0, 2 * np.pi, 2)
        length_pixels = random.uniform(SHORTEST_WAVE_PIXELS, LONGEST_WAVE_PIXELS)
        wave = np.sin((across * np.cos(angle) + down * np.sin(angle)) * (2 * np.pi / length_pixels) + phase)
        values += wave[:, :, None] * random.uniform(-25, 25, 3)
    picture = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    draw_shapes(picture, random, SHAPES, outside=0.1, sides=(0.05, 0.25))
    return picture

"""Drawn shapes with exact label maps, to try a segmentation model without its data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from runner.core import bounded
from runner.core.lazy import Image, NDArray, np
from runner.data import PictureSource, Request, TruthArrays
from runner.tasks.drawn import DrawnPictures
from runner.tasks.segmentation.preview import palette

SHAPES = 8
NOISE_AMPLITUDE = 24


@dataclass(frozen=True)
class SyntheticShapes(DrawnPictures):
    """`count` seeded pictures of `width` x `height` pixels: shapes on a background, in a colour for each class.

    Class 0 is the background. `classes` is the number of the network's channels; one channel tells two classes.
    """

    classes: int = bounded(least=1)

    def _source(self, request: Request) -> PictureSource:
        source = super()._source(request)
        truth = TruthArrays(dtype="uint8", shape_of=source.size_of, load=partial(self._draw_map, request.seed))
        return replace(source, truth=truth)

    def _draw(self, seed: int, item: str) -> Image.Image:
        random = np.random.default_rng([seed, int(item), 1])
        colours = palette()[self._draw_map(seed, item)].astype(np.int16) // 2 + 64
        noise = random.integers(-NOISE_AMPLITUDE, NOISE_AMPLITUDE + 1, colours.shape, dtype=np.int16)
        return Image.fromarray((colours + noise).astype(np.uint8))

    def _draw_map(self, seed: int, item: str) -> NDArray[np.uint8]:
        """Return a picture's label map [height, width]: ellipses and rectangles of random classes over class 0."""
        from PIL import ImageDraw

        random = np.random.default_rng([seed, int(item)])
        drawn = Image.new("L", (self.width, self.height))
        pencil = ImageDraw.Draw(drawn)
        for _ in range(SHAPES):
            left, top = random.uniform(-0.2, 0.9, 2) * (self.width, self.height)
            right, bottom = (left, top) + random.uniform(0.1, 0.5, 2) * (self.width, self.height)
            draw = pencil.ellipse if random.random() < 0.5 else pencil.rectangle
            draw((left, top, right, bottom), fill=int(random.integers(0, max(2, self.classes))))
        return np.array(drawn)

"""Generated textures, to try a network that restores pictures without a data set."""

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
    place,
    storage,
    write_pictures,
)
from runner.tasks.restoration import _pixels
from runner.tasks.restoration.readers import shrink

WAVES = 6
SHAPES = 8
SHORTEST_WAVE_PIXELS = 4
LONGEST_WAVE_PIXELS = 40


@dataclass(frozen=True)
class SyntheticTextures:
    """`count` seeded pictures of waves and shapes, `width` x `height` pixels as the network gets them.

    The truth is `factor` times as large, and the network gets it made small; where `factor` is 1, it gets the truth
    with noise N(0, sigma) added, in units of 0..255.
    """

    count: int = bounded(least=1)
    width: int = bounded(least=1)
    height: int = bounded(least=1)
    factor: int = bounded(1, least=1)
    sigma: float = bounded(25.0, least=0)

    needs_policy = False
    seeded = True

    def validate(self, request: Request) -> list[Problem]:
        problems = [*_pixels.problems(request), *bounds.problems(self, "dataset.reader")]
        if not problems:
            try:
                place((self.height, self.width), request.geometry, request.inputs[0].shape[1:])  # type: ignore[arg-type]
            except DataError as error:
                fix = "set dataset.reader.width and dataset.reader.height to what the model takes"
                problems.append(Problem(f"synthetic pictures: {error.message}", fix))
        return problems

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        return None

    def stored_bytes(self, request: Request) -> int:
        return picture_bytes(self._source(request), self._items(request), request)

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        items, source = self._items(request), self._source(request)
        pictures = list(map(Picture, items, storage.numbered("synthetic_", len(items), 5, self.count)))
        return storage.finish(
            out,
            request.inputs,
            write_pictures(source, pictures, request, out),
            unnormalised=_pixels.altered(source, request),
            substitute=f"synthetic textures generated from seed {request.seed}",
            note=storage.limit_note(request.limit, self.count, "pictures"),
        )

    def _items(self, request: Request) -> list[str]:
        return [str(index) for index in range(storage.wanted_count(request.limit, self.count))]

    def _source(self, request: Request) -> PictureSource:
        size = (self.height * self.factor, self.width * self.factor)
        draw = partial(_draw, request.seed, size, request.geometry.channels)
        return PictureSource(
            load=partial(_load, draw, self.factor),
            size_of=partial(_always, (self.height, self.width)),
            truth=TruthArrays(
                dtype="uint8",
                shape_of=partial(_always, _pixels.true_shape(request.geometry, size)),
                load=partial(_load_truth, draw),
            ),
            alter=partial(_pixels.add_noise, request.seed, self.sigma) if self.factor == 1 else None,
        )


def _always(answer: tuple[int, ...], item: str) -> Any:
    return answer


def _load(draw: partial[Image.Image], factor: int, item: str) -> Image.Image:
    return shrink(draw(item), factor)


def _load_truth(draw: partial[Image.Image], item: str) -> NDArray[np.uint8]:
    return _pixels.as_array(draw(item))


def _draw(seed: int, size: tuple[int, int], channels: str, item: str) -> Image.Image:
    picture = draw_texture(seed, int(item), *size)
    return picture.convert("L") if channels == "grey" else picture


def draw_texture(seed: int, index: int, height: int, width: int) -> Image.Image:
    """Draw picture `index` of a seed: waves of several lengths and directions, with shapes on top for edges."""
    from PIL import ImageDraw

    random = np.random.default_rng([seed, index])
    down, across = np.mgrid[:height, :width]
    values = np.full((height, width, 3), 128.0)
    for _ in range(WAVES):
        angle, phase = random.uniform(0, 2 * np.pi, 2)
        length_pixels = random.uniform(SHORTEST_WAVE_PIXELS, LONGEST_WAVE_PIXELS)
        wave = np.sin((across * np.cos(angle) + down * np.sin(angle)) * (2 * np.pi / length_pixels) + phase)
        values += wave[:, :, None] * random.uniform(-25, 25, 3)
    picture = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    pencil = ImageDraw.Draw(picture)
    for _ in range(SHAPES):
        left, top = random.uniform(-0.1, 0.9, 2) * (width, height)
        right, bottom = (left, top) + random.uniform(0.05, 0.25, 2) * (width, height)
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        draw = pencil.ellipse if random.random() < 0.5 else pencil.rectangle
        draw((left, top, right, bottom), fill=colour)
    return picture

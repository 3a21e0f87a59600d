"""Generated pictures of words at several angles, to try a text detector without a data set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from runner.core import Problem, Samples, bounded, bounds
from runner.core.lazy import Image, cv2, np
from runner.data import (
    HashFiles,
    Picture,
    PictureSource,
    Policy,
    Request,
    picture_bytes,
    picture_problems,
    storage,
    write_pictures,
)

WORDS = 4
LETTERS = "ABCDEFGHKLMNPRSTUVXYZ23456789"
STEEPEST_DEGREES = 15


@dataclass(frozen=True)
class SyntheticScenes:
    """`count` seeded pictures of `width` x `height` pixels with words drawn on them."""

    count: int = bounded(least=1)
    width: int = bounded(least=64)
    height: int = bounded(least=64)

    needs_policy = False
    seeded = True

    def validate(self, request: Request) -> list[Problem]:
        return [*picture_problems(request), *bounds.problems(self, "dataset.reader")]

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        return None

    def stored_bytes(self, request: Request) -> int:
        return picture_bytes(self._source(request), self._items(request), request)

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        items = self._items(request)
        ids = storage.numbered("scene_", len(items), 5, self.count)
        truths = [draw_scene(request.seed, int(item), self.width, self.height)[1] for item in items]
        rows = write_pictures(self._source(request), list(map(Picture, items, ids, truths)), request, out)
        return storage.finish(
            out,
            request.inputs,
            rows,
            substitute=f"synthetic scenes with words, drawn from seed {request.seed}",
            note=storage.limit_note(request.limit, self.count, "pictures"),
        )

    def _items(self, request: Request) -> list[str]:
        return [str(index) for index in range(storage.wanted_count(request.limit, self.count))]

    def _source(self, request: Request) -> PictureSource:
        mode = "L" if request.geometry.channels == "grey" else "RGB"
        return PictureSource(
            load=partial(_load, request.seed, self.width, self.height, mode),
            size_of=partial(_size, self.height, self.width),
        )


def _size(height: int, width: int, item: str) -> tuple[int, int]:
    return height, width


def _load(seed: int, width: int, height: int, mode: str, item: str) -> Image.Image:
    return draw_scene(seed, int(item), width, height)[0].convert(mode)


def draw_scene(seed: int, index: int, width: int, height: int) -> tuple[Image.Image, dict[str, Any]]:
    """Draw picture `index` of a seed: a plain background, and a word in each of some bands; return it and its truth."""
    from PIL import ImageDraw, ImageFont

    random = np.random.default_rng([seed, index])
    picture = Image.new("RGB", (width, height), tuple(int(value) for value in random.integers(150, 256, 3)))
    polygons = []
    band = height // WORDS
    for number in range(WORDS):
        text = "".join(random.choice(list(LETTERS), int(random.integers(3, 8))))
        font = ImageFont.load_default(max(10, band // 3))
        left, top, right, bottom = (round(value) for value in font.getbbox(text))
        word = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(word).text((-left, -top), text, 255, font)
        degrees = float(random.uniform(-STEEPEST_DEGREES, STEEPEST_DEGREES))
        turned = word.rotate(degrees, expand=True, resample=Image.Resampling.BILINEAR)
        space = max(1, width - turned.width)
        place = int(random.integers(0, space)), number * band + max(0, band - turned.height) // 2
        picture.paste(tuple(int(value) for value in random.integers(0, 90, 3)), place, turned)
        centre = place[0] + turned.width / 2, place[1] + turned.height / 2
        # a picture's y goes down, so an angle against the clock is negative there
        polygons.append(cv2.boxPoints((centre, word.size, -degrees)).tolist())
    return picture, {"polygons": polygons, "ignored": [False] * WORDS}

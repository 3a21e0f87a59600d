"""Generated pictures of words at several angles, to try a text detector without its data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runner.core import bounded
from runner.core.lazy import Image, cv2, np
from runner.tasks.drawn import LONGEST_SIDE, DrawnPictures

WORDS = 4
LETTERS = "ABCDEFGHKLMNPRSTUVXYZ23456789"
STEEPEST_DEGREES = 15


@dataclass(frozen=True)
class SyntheticScenes(DrawnPictures):
    """`count` seeded pictures of `width` x `height` pixels with words drawn on them."""

    width: int = bounded(least=64, most=LONGEST_SIDE)
    height: int = bounded(least=64, most=LONGEST_SIDE)

    things = "scenes with words"
    id_prefix = "scene_"

    def _truths(self, seed: int, items: Sequence[str]) -> list[dict[str, Any]]:
        return [draw_scene(seed, int(item), self.width, self.height)[1] for item in items]

    def _draw(self, seed: int, item: str) -> Image.Image:
        return draw_scene(seed, int(item), self.width, self.height)[0]


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

"""Generated words, to try a network that reads text without a data set."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

from runner.core import Problem
from runner.core.lazy import Image, np
from runner.data import Request
from runner.tasks.drawn import DrawnPictures
from runner.tasks.recognition.ctc import is_known

SHORTEST, LONGEST = 4, 7
"""Characters of a word."""
DRAWABLE = string.digits + string.ascii_letters
"""What PIL's own font can draw of most alphabets."""
NOISE_AMPLITUDE = 8


@dataclass(frozen=True)
class SyntheticWords(DrawnPictures):
    """`count` seeded pictures of `width` x `height` pixels with a word of letters and digits of `alphabet`, if known.

    They are drawn with PIL's own font; items are the words.
    """

    alphabet: str | Sequence[str] = DRAWABLE

    things = "words"

    def _problems(self, request: Request) -> list[Problem]:
        problems = super()._problems(request)
        if not self._drawable:
            problems.append(
                Problem(
                    "the alphabet has no letters or digits of ASCII, and PIL's own font has no others",
                    "choose a dataset= of real pictures",
                )
            )
        return problems

    def _items(self, seed: int, count: int) -> list[str]:
        random = np.random.default_rng(seed)
        lengths = random.integers(SHORTEST, LONGEST + 1, self.count)[:count]
        return ["".join(random.choice(self._drawable, length)) for length in lengths]

    def _truths(self, seed: int, items: Sequence[str]) -> Sequence[str]:
        return items

    def _draw(self, seed: int, item: str) -> Image.Image:
        return draw_word(seed, item, self.height, self.width)

    @property
    def _drawable(self) -> list[str]:
        known = self.alphabet if is_known(self.alphabet) else DRAWABLE
        return [character for character in DRAWABLE if character in known]


def draw_word(seed: int, text: str, height: int, width: int) -> Image.Image:
    """Draw a text in a dark colour of the seed over the whole of a light picture, with noise."""
    from PIL import ImageDraw, ImageFont

    random = np.random.default_rng([seed, *text.encode()])
    font = ImageFont.load_default(32)
    left, top, right, bottom = font.getbbox(text)
    paper, ink = (tuple(map(int, random.integers(low, low + 100, 3))) for low in (156, 0))
    word = Image.new("RGB", (int(right - left) + 8, int(bottom - top) + 8), paper)
    ImageDraw.Draw(word).text((4 - left, 4 - top), text, ink, font)
    pixels = np.asarray(word.resize((width, height), Image.Resampling.BILINEAR), np.int16)
    noise = random.integers(-NOISE_AMPLITUDE, NOISE_AMPLITUDE + 1, pixels.shape, dtype=np.int16)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))

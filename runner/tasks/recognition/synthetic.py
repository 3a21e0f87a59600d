"""Generated words, to try a network that reads text without a data set."""

from __future__ import annotations

import string
from collections.abc import Sequence
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
    picture_bytes,
    picture_problems,
    place,
    storage,
    write_pictures,
)
from runner.tasks.recognition.ctc import is_known

SHORTEST, LONGEST = 4, 7
"""Characters of a word."""
DRAWABLE = string.digits + string.ascii_letters
"""What PIL's own font can draw of most alphabets."""
NOISE_AMPLITUDE = 8


@dataclass(frozen=True)
class SyntheticWords:
    """`count` seeded pictures of `width` x `height` pixels with a word of letters and digits of `alphabet`, if known.

    They are drawn by the workers with PIL's own font and never stored on disk.
    """

    count: int = bounded(least=1)
    width: int = bounded(least=1)
    height: int = bounded(least=1)
    alphabet: str | Sequence[str] = DRAWABLE

    needs_policy = False
    seeded = True

    def validate(self, request: Request) -> list[Problem]:
        problems = [*picture_problems(request), *bounds.problems(self, "dataset.reader")]
        if not self._drawable:
            problems.append(
                Problem(
                    "the alphabet has no letters or digits of ASCII, and PIL's own font has no others",
                    "choose a dataset= of real pictures",
                )
            )
        return problems or self._size_problems(request)

    def _size_problems(self, request: Request) -> list[Problem]:
        try:
            place((self.height, self.width), request.geometry, request.inputs[0].shape[1:])  # type: ignore[arg-type]
        except DataError as error:
            fix = "set dataset.reader.width and dataset.reader.height to what the model takes"
            return [Problem(f"synthetic words: {error.message}", fix)]
        return []

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        return None

    def stored_bytes(self, request: Request) -> int:
        count = storage.wanted_count(request.limit, self.count)
        return picture_bytes(self._source(request), self._texts(request.seed)[:count], request)

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        count = storage.wanted_count(request.limit, self.count)
        texts = self._texts(request.seed)[:count]
        pictures = list(map(Picture, texts, storage.numbered("synthetic_", count, 5, self.count), texts))
        return storage.finish(
            out,
            request.inputs,
            write_pictures(self._source(request), pictures, request, out),
            substitute=f"synthetic words generated from seed {request.seed}",
            note=storage.limit_note(request.limit, self.count, "pictures"),
        )

    @property
    def _drawable(self) -> list[str]:
        known = self.alphabet if is_known(self.alphabet) else DRAWABLE
        return [character for character in DRAWABLE if character in known]

    def _texts(self, seed: int) -> list[str]:
        random = np.random.default_rng(seed)
        lengths = random.integers(SHORTEST, LONGEST + 1, self.count)
        return ["".join(random.choice(self._drawable, length)) for length in lengths]

    def _source(self, request: Request) -> PictureSource:
        size = (self.height, self.width)
        return PictureSource(
            load=partial(_load, request.seed, size, request.geometry.channels), size_of=partial(_size, size)
        )


def _size(size: tuple[int, int], text: str) -> tuple[int, int]:
    return size


def _load(seed: int, size: tuple[int, int], channels: str, text: str) -> Image.Image:
    picture = draw_word(seed, text, *size)
    return picture.convert("L") if channels == "grey" else picture


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

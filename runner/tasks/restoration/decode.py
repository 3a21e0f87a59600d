"""Decoding of restored pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from runner.core import ConfigError, DataError, bounded, bounds, one_of
from runner.core.lazy import NDArray, np
from runner.data import Row, whole_samples

Span = tuple[int, int]
"""The first row or column of pixels, and the one after the last."""


@dataclass(frozen=True)
class Picture:
    """The model's first output [N, 1 or 3, scale * height, scale * width] as pictures, one per sample.

    Results are float32 [C, H, W] in 0..255, clipped, in RGB or grey, without the padding of the input. They are not
    rounded unless `round`. `range` are the output's values for black and white, `channels` its order, rgb or bgr. Of
    tiles that overlap, each gives the part of the picture that is nearer to its centre than to its neighbour's.
    """

    scale: int = bounded(1, least=1)
    range: tuple[float, float] = (0.0, 1.0)
    channels: str = one_of("rgb", "bgr")
    round: bool = False

    def __post_init__(self) -> None:
        bounds.check(self, "model.decode")
        if self.range[0] >= self.range[1]:
            raise ConfigError(
                f"model.decode.range is {list(self.range)}",
                "give the output's values for black and for white, as in [0.0, 1.0]",
            )

    def __call__(self, outputs: Mapping[str, NDArray[Any]], rows: Sequence[Row]) -> list[NDArray[np.float32]]:
        values = next(iter(outputs.values()))
        if values.ndim != 4 or values.shape[1] not in (1, 3):
            raise DataError(
                f"the model's first output is {list(values.shape)}, not pictures [N, 1 or 3, height, width]",
                "name the picture first in model.outputs, or choose another model.decode",
            )
        return [self._picture(values[span], rows[span]) for span in whole_samples.spans(rows)]

    def _picture(self, values: NDArray[Any], rows: Sequence[Row]) -> NDArray[np.float32]:
        """Return one sample's picture from its rows."""
        black, white = self.range
        picture = self._joined(values, rows)
        picture -= np.float32(black)
        picture *= np.float32(255 / (white - black))
        if self.round:
            np.rint(picture, out=picture)
        np.clip(picture, 0, 255, out=picture)
        return picture[::-1] if self.channels == "bgr" else picture

    def _joined(self, values: NDArray[Any], rows: Sequence[Row]) -> NDArray[np.float32]:
        """Return a sample's rows [rows, C, h, w] as one picture [C, H, W], without padding."""
        height, width = _size(rows[0])
        paddings = [row.padding or (0, 0, 0, 0) for row in rows]
        top, left, bottom, right = paddings[0]
        made = top + height + bottom, left + width + right
        if values.shape[2:] != tuple(side * self.scale for side in made):
            raise DataError(
                f"the network makes {values.shape[3]}x{values.shape[2]} pixels of the {made[1]}x{made[0]} of "
                f"{rows[0].id}, and model.decode.scale is {self.scale}",
                "correct model.decode.scale, or choose another model.decode",
            )
        parts_down = _parts([-padding[0] for padding in paddings], made[0], height)
        parts_across = _parts([-padding[1] for padding in paddings], made[1], width)
        picture = np.empty((values.shape[1], height * self.scale, width * self.scale), np.float32)
        for row, (top, left, _, _) in zip(values, paddings, strict=True):
            down, across = parts_down[-top], parts_across[-left]
            picture[:, self._scaled(down, 0), self._scaled(across, 0)] = row[
                :, self._scaled(down, top), self._scaled(across, left)
            ]
        return picture

    def _scaled(self, span: Span, padding: int) -> slice:
        return slice((span[0] + padding) * self.scale, (span[1] + padding) * self.scale)


def _size(row: Row) -> tuple[int, int]:
    """Return the size [height, width] of the picture that was padded or cut into rows."""
    if row.resized_size is None:
        raise DataError(f"sample {row.id} is no picture", "choose a dataset= of pictures")
    return row.resized_size


def _parts(starts: Sequence[int], length: int, end: int) -> dict[int, Span]:
    """Return which part of 0..end is taken from each of the tiles of `length`, by where these start."""
    ordered = sorted(set(starts))
    seams = [0, *((first + length + second) // 2 for first, second in pairwise(ordered)), end]
    return dict(zip(ordered, pairwise(seams), strict=True))

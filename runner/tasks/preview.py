"""Previews: what a task lets a person look at in the run folder, such as pictures with boxes drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import count, groupby, islice
from pathlib import Path
from typing import Any, Protocol

from runner.core import Predictions, Samples
from runner.core.lazy import Image, NDArray, np
from runner.data import Row, storage
from runner.tasks.decode import Decode, decoded

ONLY_PREVIEW = 64
"""The largest number of samples that are decoded for a preview."""
GAP = 6
BACKGROUND = (255, 255, 255)
"""Between the pictures of a grid."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A sample with what became of it.

    `rows` are its rows' metadata, `inputs` [rows, ...] the arrays by name as stored, `result` what the decoder made of
    the model's outputs. `channels` is the order of a picture's: rgb, bgr or grey.
    """

    rows: Sequence[Row]
    inputs: Mapping[str, NDArray[Any]]
    result: Any
    channels: str

    @property
    def id(self) -> str:
        """The id of the sample."""
        return self.rows[0].sample_id

    @property
    def truth(self) -> Any:
        """The ground truth of the sample; None if it is unknown."""
        return self.rows[0].truth

    @cached_property
    def picture(self) -> Image.Image:
        """The picture in its original size, RGB, put together from the rows without their padding."""
        stored = next(iter(self.inputs.values()))
        first = self.rows[0]
        if first.original_size is None or first.resized_size is None:
            return as_picture(stored[0], self.channels)
        canvas = Image.new("RGB", first.resized_size[::-1])
        for row, values in zip(self.rows, stored, strict=True):
            top, left, bottom, right = row.padding or (0, 0, 0, 0)
            content = values[:, max(0, top) : values.shape[1] - max(0, bottom)]
            content = content[:, :, max(0, left) : values.shape[2] - max(0, right)]
            canvas.paste(as_picture(content, self.channels), (max(0, -left), max(0, -top)))
        return canvas.resize(first.original_size[::-1], Image.Resampling.BILINEAR)


class Preview(Protocol):
    """Writes what a person can look at: a function, or a frozen dataclass with the arguments beside `_target_`."""

    def __call__(self, examples: Iterator[Example], folder: Path) -> Path | None:
        """Write a file into the run folder from the first examples; return it, or None if nothing can be shown."""


def examples(samples: Samples, inferred: Predictions, decode: Decode, channels: str) -> Iterator[Example]:
    """Yield the first samples with their results, at most ONLY_PREVIEW of them.

    Raises:
        DataError: the samples on disk are damaged, or the decoder rejects the outputs.
    """
    grouped = groupby(zip(count(), storage.facts(samples.path)), key=lambda each: each[1].sample_id)
    members = (zip(*together, strict=True) for _, together in grouped)
    arrays = {tensor.name: storage.open_array(samples.path, tensor.name) for tensor in samples.spec}
    results = (result for chunk, _ in decoded(inferred, samples, decode) for result in chunk)
    with ExitStack() as stack:
        files = {name: stack.enter_context(array.path.open("rb", buffering=0)) for name, array in arrays.items()}
        for (indices, rows), result in islice(zip(members, results, strict=False), ONLY_PREVIEW):
            stored = {
                name: np.stack([storage.read_at(files[name], array, index) for index in indices])
                for name, array in arrays.items()
            }
            yield Example(rows=rows, inputs=stored, result=result, channels=channels)


def as_picture(values: NDArray[Any], channels: str = "rgb") -> Image.Image:
    """Return values [1 or 3, height, width] in 0..255 as an RGB picture; `channels` is their order."""
    pixels = np.clip(np.round(values), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    if channels == "bgr":
        pixels = pixels[:, :, ::-1]
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))


def narrowed(picture: Image.Image, width: int) -> Image.Image:
    """Return the picture, made smaller if it is wider than `width` pixels."""
    ratio = min(1.0, width / picture.width)
    return picture.resize((max(1, round(picture.width * ratio)), max(1, round(picture.height * ratio))))


def grid(cells: Sequence[Image.Image], target: Path, columns: int = 3, cell_width: int = 480) -> Path | None:
    """Write pictures side by side in rows, each at most `cell_width` wide; return the file, None without pictures."""
    if not cells:
        return None
    fitted = [narrowed(cell, cell_width) for cell in cells]
    rows = [fitted[start : start + columns] for start in range(0, len(fitted), columns)]
    width = max(sum(cell.width + GAP for cell in row) for row in rows) + GAP
    canvas = Image.new("RGB", (width, sum(max(cell.height for cell in row) + GAP for row in rows) + GAP), BACKGROUND)
    top = GAP
    for row in rows:
        left = GAP
        for cell in row:
            canvas.paste(cell, (left, top))
            left += cell.width + GAP
        top += max(cell.height for cell in row) + GAP
    canvas.save(target)
    return target

"""Decoding of segmentation networks: from logits or class ids to label maps in the pictures' own sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.core import ConfigError, DataError, bounds, one_of
from runner.core.lazy import NDArray, np
from runner.data import Row, whole_samples

UNSEEN = 255
"""In a label map: a pixel that the network has not seen, because preprocessing cut it off."""
BLOCK_PIXELS = 1 << 15
"""Pixels that are resized and compared at once: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Maps:
    """The first output as label maps uint8 [height, width], one per sample, in the size of its original picture.

    `source` "logits" is [N, classes, h, w], in any floating point type: a pixel's class is the one with the largest
    logit, the lower one of equals. Of an output of one channel, class 1 is where it is above `threshold`: 0 is sigmoid
    > 0.5; for a graph that ends in a sigmoid give 0.5. `source` "ids" is [N, h, w] or [N, 1, h, w], whole numbers in
    any type, for an argmax inside the graph.

    h and w may be smaller than the network's input. Padding is cut off. `resize` is from there to the original size:
    "bilinear" resizes the logits, beside padding as if first to the network's input, then takes the largest; "nearest"
    resizes the class ids. Bilinear is PyTorch's `interpolate`, with its `align_corners`. The logits of tiles are
    averaged where tiles overlap; of class ids the later tile counts. Pixels that preprocessing cut off are UNSEEN.
    """

    source: str = one_of("logits", "ids")
    resize: str = one_of("bilinear", "nearest")
    align_corners: bool = False
    threshold: float = 0.0

    def __post_init__(self) -> None:
        bounds.check(self, "model.decode")
        if self.source == "ids" and self.resize == "bilinear":
            raise ConfigError(
                "model.decode.source is ids, which cannot be interpolated", "set model.decode.resize=nearest"
            )

    def __call__(self, outputs: Mapping[str, NDArray[Any]], rows: Sequence[Row]) -> list[NDArray[np.uint8]]:
        """Return a label map per sample.

        Raises:
            DataError: the output has another shape, or values that are no class ids.
        """
        name, output = next(iter(outputs.items()))
        values = _ids(name, output) if self.source == "ids" else _logits(name, output)
        return [self._map(values[span], rows[span]) for span in whole_samples.spans(rows)]

    @property
    def packs(self) -> tuple[str, ...]:
        """The name of the array that a label map is stored as."""
        return ("map",)

    def pack(self, result: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return the label map by its name."""
        return {"map": result}

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
        """Return the label map that was packed."""
        return arrays["map"]

    def _map(self, values: NDArray[Any], rows: Sequence[Row]) -> NDArray[np.uint8]:
        """Return the label map of a sample from the values [rows, channels, h, w] of its rows."""
        view = _view(rows[0], values.shape[2:])
        source = values[0]
        if len(rows) > 1:
            source = _joined(values, [_view(row, values.shape[2:]) for row in rows], average=self.source == "logits")
            view = (view[0].whole, view[1].whole)
        result = np.full((view[0].original, view[1].original), UNSEEN, np.uint8)
        seen = result[view[0].seen, view[1].seen]
        if self.resize == "bilinear":
            self._choose(source, view[0].linear(self.align_corners), view[1].linear(self.align_corners), seen)
            return result
        ids = source[0]
        if self.source == "logits":
            _, height, width = source.shape
            ids = np.empty((height, width), np.uint8)
            self._choose(source, _Linear.same(height), _Linear.same(width), ids)
        seen[:] = ids[view[0].nearest[:, None], view[1].nearest]
        return result

    def _choose(self, logits: NDArray[Any], down: _Linear, across: _Linear, ids: NDArray[np.uint8]) -> None:
        """Write the class of each pixel of the resized logits into `ids`, block by block."""
        for block, values in _resized(logits, down, across):
            if len(values) == 1:
                ids[block] = values[0] > self.threshold
            else:
                ids[block] = _largest(values)


def _logits(name: str, output: NDArray[Any]) -> NDArray[Any]:
    if output.ndim != 4 or output.shape[1] > UNSEEN or not np.issubdtype(output.dtype, np.floating):
        raise DataError(
            f"output {name!r} is {output.dtype} {list(output.shape)}, not logits [N, classes, height, width] of at "
            f"most {UNSEEN} classes",
            "put the logits first in model.outputs; for class ids set model.decode.source=ids",
        )
    return output


def _ids(name: str, output: NDArray[Any]) -> NDArray[np.uint8]:
    """Return class ids as uint8 [N, 1, h, w]."""
    maps = output[:, None] if output.ndim == 3 else output
    if maps.ndim != 4 or maps.shape[1] != 1:
        raise DataError(
            f"output {name!r} is {list(output.shape)}, not class ids [N, height, width] or [N, 1, height, width]",
            "put the class ids first in model.outputs; for logits set model.decode.source=logits",
        )
    if maps.size and not 0 <= maps.min() <= maps.max() < UNSEEN:
        raise DataError(
            f"output {name!r} has values from {maps.min()} to {maps.max()}, and class ids are 0 to {UNSEEN - 1}",
            "check the type in which the tool reads the output; for logits set model.decode.source=logits",
        )
    return maps.astype(np.uint8)


@dataclass(frozen=True)
class _Linear:
    """Positions on an axis: each between the cells `first` and `first` + 1, at `fraction` of the way."""

    first: NDArray[np.intp]
    fraction: NDArray[np.float32]

    @staticmethod
    def at(positions: NDArray[np.float64], cells: int) -> _Linear:
        first = np.clip(np.floor(positions).astype(np.intp), 0, max(0, cells - 2))
        return _Linear(first, (positions - first).astype(np.float32))

    @staticmethod
    def same(cells: int) -> _Linear:
        """Return the positions of the cells themselves."""
        return _Linear.at(np.arange(cells, dtype=np.float64), cells)

    def is_unchanged(self, cells: int) -> bool:
        """Return whether the positions are exactly the cells of the axis."""
        return len(self.first) == cells and bool(np.all(self.first + self.fraction == np.arange(cells)))


@dataclass(frozen=True)
class _Axis:
    """How an axis of an output lies on an axis of the original picture.

    The picture's `original` pixels were resized to `resized`, `before` and `after` pixels were added (cut, if
    negative), and the network turned the result into `cells`.
    """

    original: int
    resized: int
    before: int
    after: int
    cells: int

    @property
    def whole(self) -> _Axis:
        """The axis of the whole resized picture, as put together from tiles."""
        return _Axis(self.original, self.resized, 0, 0, self.resized)

    @property
    def cells_per_pixel(self) -> float:
        return self.cells / (self.before + self.resized + self.after)

    @property
    def content(self) -> tuple[float, float]:
        """The first cell of the picture, and the end of its last one: fractions where padding ends within a cell."""
        end = self.before + self.resized + min(0, self.after)
        return max(0, self.before) * self.cells_per_pixel, end * self.cells_per_pixel

    @property
    def seen(self) -> slice:
        """The original's pixels whose centre was not cut off."""
        ends = (max(0, -self.before), self.resized - max(0, -self.after))
        first, end = (round(pixel * self.original / self.resized) for pixel in ends)
        return slice(first, end)

    @property
    def _centres(self) -> NDArray[np.float64]:
        """The centres of the seen pixels, in cells."""
        pixels = np.arange(self.seen.start, self.seen.stop) + 0.5
        return (pixels * self.resized / self.original + self.before) * self.cells_per_pixel

    @property
    def nearest(self) -> NDArray[np.intp]:
        """The cell in which each seen pixel has its centre."""
        first, end = self.content
        return np.clip(self._centres.astype(np.intp), int(first), int(np.ceil(end)) - 1)

    def linear(self, align_corners: bool) -> _Linear:
        """Return between which cells each seen pixel has its centre, as if the picture were cut out of the output.

        An output smaller than the network's input is cut as if it were resized to the input first, as mmsegmentation
        does: pixels beside padding lie between a cell of the picture and one of the padding.
        """
        first, end = self.content
        centres, last = self._centres, end - 1
        if align_corners:
            pixels = self.before + self.resized + self.after
            step = (self.cells - 1) / max(1, pixels - 1)
            ends = max(0, self.before) * step, (self.before + self.resized + min(0, self.after) - 1) * step
            positions = np.linspace(*ends, len(centres))
        else:
            margin = max(0.0, (1 - self.cells_per_pixel) / 2)  # from a pixel's centre to that of the cell at the edge
            positions = np.clip(centres - 0.5, max(0.0, first - margin), min(self.cells - 1, last + margin))
        return _Linear.at(positions, self.cells)


def _view(row: Row, cells: tuple[int, ...]) -> tuple[_Axis, _Axis]:
    """Return the two axes of an output of cells [h, w]; without metadata of a picture the output is taken as it is."""
    original = row.original_size or cells
    resized = row.resized_size or original
    top, left, bottom, right = row.padding or (0, 0, 0, 0)
    return (
        _Axis(original[0], resized[0], top, bottom, cells[0]),
        _Axis(original[1], resized[1], left, right, cells[1]),
    )


def _joined(values: NDArray[Any], views: Sequence[tuple[_Axis, _Axis]], average: bool) -> NDArray[Any]:
    """Return the tiles' values [rows, channels, h, w] as those of the whole resized picture [channels, H, W]."""
    size = (views[0][0].resized, views[0][1].resized)
    whole = np.zeros((values.shape[1], *size), np.float32 if average else np.uint8)
    times = np.zeros(size, np.float32)
    for tile, view in zip(values, views, strict=True):
        down, across = (_Axis(axis.resized, axis.resized, axis.before, axis.after, axis.cells) for axis in view)
        part = whole[:, down.seen, across.seen]
        if not average:
            part[:] = tile[:, down.nearest[:, None], across.nearest]
            continue
        for block, each in _resized(tile, down.linear(False), across.linear(False)):
            part[:, block] += each
        times[down.seen, across.seen] += 1
    return whole / np.maximum(times, 1) if average else whole


def _resized(values: NDArray[Any], down: _Linear, across: _Linear) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield values [channels, h, w] at the given positions, as blocks of consecutive lines [channels, lines, width].

    Interpolating lines of a block is one multiplication by a small matrix [lines, lines that they lie between].
    """
    _, height, width = values.shape
    same_height, same_width = down.is_unchanged(height), across.is_unchanged(width)
    lines = max(1, BLOCK_PIXELS // max(1, len(across.first)))
    for start in range(0, len(down.first), lines):
        block = slice(start, min(start + lines, len(down.first)))
        first, fraction = down.first[block], down.fraction[block]
        between = slice(start, block.stop) if same_height else slice(int(first.min()), int(first.max()) + 2)
        source = values[:, between].astype(np.float32, copy=False)
        if not same_width:
            source = _across(source, across)
        if not same_height:
            weights = np.zeros((len(first), source.shape[1]), np.float32)
            numbers, columns = np.arange(len(first)), first - between.start
            weights[numbers, columns] = 1 - fraction
            weights[numbers, np.minimum(columns + 1, source.shape[1] - 1)] += fraction
            source = weights @ source
        yield block, source


def _across(source: NDArray[np.float32], across: _Linear) -> NDArray[np.float32]:
    """Interpolate along the last axis."""
    result = source.take(across.first, axis=2)
    result *= 1 - across.fraction
    right = source.take(np.minimum(across.first + 1, source.shape[2] - 1), axis=2)
    right *= across.fraction
    result += right
    return result


def _largest(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the argmax over the first axis; a running maximum is ten times as fast as numpy's for channels first."""
    best = values[0].copy()
    ids = np.zeros(best.shape, np.uint8)
    for number, channel in enumerate(values[1:], 1):
        larger = (channel > best).view(np.uint8)
        larger *= np.uint8(number)
        np.maximum(ids, larger, out=ids)
        np.maximum(best, channel, out=best)
    return ids

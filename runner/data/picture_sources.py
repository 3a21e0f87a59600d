"""Pictures before they are read: where they come from, whether a model takes them, how they are placed in its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from runner.core import FREE, DataError, Problem, TensorSpec
from runner.core.lazy import Image, NDArray, np
from runner.data._journal import Placements
from runner.data.preprocess import Geometry, Placed, place
from runner.data.reader import Request
from runner.data.storage import TRUTH, storable_types

BROKEN_SHOWN = 5
FIT_FIX = "set model.preprocess.fit to stretch or inside, or its resize and crop, so that all become that size"


@dataclass(frozen=True, kw_only=True)
class TruthArrays:
    """Ground truth that is an array per picture, such as a label map: its type, its shape, and what loads it.

    Both callables take a picture's item, are picklable, and raise DataError.
    """

    dtype: str
    shape_of: Callable[[str], tuple[int, ...]]
    load: Callable[[str], NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class PictureSource:
    """How pictures are got: `load` decodes one, `size_of` tells its [height, width] without decoding it.

    Callables take a picture's item (its file, or whatever the reader names it by), are picklable, and raise DataError.
    `alter`, if given, changes the row that was made of a picture, uint8 [channels, height, width], to one of the same
    shape in the network's type and in the same range, such as by noise; it is normalised later, as bytes are.
    """

    load: Callable[[str], Image.Image]
    size_of: Callable[[str], tuple[int, int]]
    truth: TruthArrays | None = None
    alter: Callable[[str, NDArray[np.uint8]], NDArray[Any]] | None = None


@dataclass(frozen=True)
class Picture:
    """A picture of a data set: its item, its id, and its ground truth in JSON types, if it has any."""

    item: str
    id: str
    truth: Any = None


def picture_tensor(request: Request, source: PictureSource | None = None) -> TensorSpec:
    """Return the tensor spec in which a model's pictures are stored: as bytes, unless the source alters them."""
    tensor = request.inputs[0]
    return tensor if source and source.alter else TensorSpec(tensor.name, "uint8", tensor.shape)


def picture_problems(request: Request) -> list[Problem]:
    """Return the reasons why pictures cannot be the model's input."""
    channels = 1 if request.geometry.channels == "grey" else 3
    if len(request.inputs) == 1 and _is_picture(request.inputs[0], channels):
        return []
    shapes = ", ".join(f"{tensor.name} {tensor.dtype} {tensor.shown_shape}" for tensor in request.inputs)
    fix = "choose a dataset= that fits, or a model with one input [3, height, width] of floating point or bytes"
    if len(request.inputs) == 1 and _is_picture(request.inputs[0], 3 if channels == 1 else 1):
        fix = f"set model.preprocess.channels={'rgb or bgr' if channels == 1 else 'grey'}"
    return [Problem(f"the data set holds pictures, {request.geometry.channels}, and the model takes {shapes}", fix)]


def _is_picture(tensor: TensorSpec, channels: int) -> bool:
    return "uint8" in storable_types(tensor) and len(tensor.shape) == 3 and tensor.shape[0] == channels


def size_problem(size: tuple[int, int], request: Request) -> Problem | None:
    """Return the problem of pictures of `size` [height, width] that do not become what the model takes."""
    tensor = request.inputs[0]
    try:
        sizes = [piece.size for piece in place(size, request.geometry, wanted_size(request))]
    except DataError as error:
        return Problem(f"a picture does not fit: {error.message}", error.fix)
    if all(tensor.takes((tensor.shape[0], *each)) for each in sizes):
        return None
    return Problem(
        f"pictures of {size[1]}x{size[0]} become {sizes[0][1]}x{sizes[0][0]} by model.preprocess, and the model takes "
        f"{tensor.shown_shape}",
        FIT_FIX,
    )


def picture_bytes(source: PictureSource, items: Sequence[str], request: Request) -> int:
    """Return the size on disk of the rows and the truths that `write_pictures` would write.

    Raises:
        DataError: the size of a picture cannot be read, or it does not fit the network.
    """
    tensor = picture_tensor(request, source)
    truth = source.truth
    truths = 0 if truth is None else sum(_truth_tensor(truth).at(truth.shape_of(item)).sample_bytes for item in items)
    placed = placements(source, items, request)
    if placed is None:
        return len(items) * tensor.sample_bytes + truths
    return sum(tensor.at(row_shape(tensor, each)).sample_bytes for pieces in placed for each in pieces) + truths


def wanted_size(request: Request) -> tuple[int, int]:
    """Return the [height, width] that the network takes; free sizes are FREE."""
    _, height, width = request.inputs[0].shape
    return height, width


def placements(source: PictureSource, items: Sequence[str], request: Request) -> Placements | None:
    """Return how each picture becomes rows; None where it becomes one of a size that does not depend on the picture.

    Raises:
        DataError: the size of a picture cannot be read, or it does not fit the network.
    """
    wanted = wanted_size(request)
    if FREE not in wanted and request.geometry.tile is None:
        return None
    placed: Placements = []
    broken: list[DataError] = []
    for item in items:
        try:
            placed.append(placed_of(source.size_of(item), request.geometry, wanted, item))
        except DataError as error:
            broken.append(error)
            if len(broken) >= BROKEN_SHOWN:
                break
    if broken:
        raise DataError("\n".join(error.message for error in broken), broken[0].fix)
    return placed


def placed_of(size: tuple[int, int], geometry: Geometry, wanted: tuple[int, int], item: str) -> tuple[Placed, ...]:
    """Return how a picture becomes rows, as `place` does, with the picture named in its errors."""
    try:
        return place(size, geometry, wanted)
    except DataError as error:
        raise DataError(f"{item}: {error.message}", error.fix) from error


def row_shape(tensor: TensorSpec, placed: Placed) -> tuple[int, ...]:
    """Return the shape [channels, height, width] of a row."""
    return (tensor.shape[0], *placed.size)


def _truth_tensor(truth: TruthArrays) -> TensorSpec:
    return TensorSpec(TRUTH, truth.dtype, ())

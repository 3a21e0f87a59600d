"""What the readers share: true pictures as arrays, noise, and the preprocessing under which pixels can be compared."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from runner.core import Problem
from runner.core.lazy import Image, NDArray, np
from runner.data import Geometry, Request, TruthArrays, open_picture, picture_size


def as_array(picture: Image.Image) -> NDArray[np.uint8]:
    """Return a decoded picture, grey or RGB, as uint8 [1 or 3, height, width]."""
    return np.ascontiguousarray(np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1))


def true_pictures(path_of: Callable[[str], Path], geometry: Geometry) -> TruthArrays:
    """Return picture files as ground truth: uint8 [3, height, width] in RGB, or [1, ...] for a grey model.

    `path_of` tells the file for a picture's item, and is picklable.
    """
    return TruthArrays(
        dtype="uint8", shape_of=partial(_file_shape, path_of, geometry), load=partial(_file_array, path_of, geometry)
    )


def true_shape(geometry: Geometry, size: tuple[int, int]) -> tuple[int, int, int]:
    """Return the shape of a true picture of `size` [height, width]."""
    return (1 if geometry.channels == "grey" else 3, *size)


def _file_shape(path_of: Callable[[str], Path], geometry: Geometry, item: str) -> tuple[int, ...]:
    return true_shape(geometry, picture_size(path_of(item)))


def _file_array(path_of: Callable[[str], Path], geometry: Geometry, item: str) -> NDArray[np.uint8]:
    return as_array(open_picture(path_of(item), geometry.channels))


def add_noise(seed: int, sigma: float, item: str, row: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a row plus noise N(0, sigma) of the seed and the picture's item, float32, not clipped to 0..255."""
    random = np.random.default_rng([seed, zlib.crc32(item.encode())])
    noise = random.standard_normal(row.shape, np.float32)
    noise *= np.float32(sigma)
    noise += row
    return noise


def problems(request: Request) -> list[Problem]:
    """Return the reasons why the results could not be compared with the true pictures by pixel."""
    geometry = request.geometry
    whole = geometry.fit == "none" or (geometry.fit == "shorter" and geometry.size is None)
    if whole and geometry.resize is None and geometry.crop is None:
        return []
    return [
        Problem(
            "model.preprocess resizes or cuts pictures, and restored pictures are compared with the true ones pixel by "
            "pixel",
            "set model.preprocess.fit=none, which only pads, and leave resize and crop out",
        ),
    ]

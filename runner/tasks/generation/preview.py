"""A preview of generated images: the first ones in a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.core import DataError
from runner.core.lazy import Image, NDArray, np
from runner.data import predictions

IMAGES = 64
COLUMNS = 8
BORDER_PIXELS = 2


def write_image_grid(predictions_path: Path, output: str, target: Path) -> Path | None:
    """Write the first 64 images of an output [N, 1 or 3, H, W] as one PNG; return None for other shapes.

    Raises:
        DataError: there is no output of that name.
    """
    try:
        shape = predictions.row_shape(predictions_path, output)
    except KeyError as error:
        raise DataError(
            f"{predictions_path} has no output {output!r}",
            "name one of model.outputs",
        ) from error
    if len(shape) != 3 or shape[0] not in (1, 3) or 0 in shape:
        return None
    images = next(predictions.iterate(predictions_path, output, IMAGES), None)
    if images is None:
        return None
    Image.fromarray(_grid(_to_bytes(images))).save(target)
    return target


def _to_bytes(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale the smallest value of all images to black and the largest to white; non-finite values are black."""
    values = images.astype(np.float64)
    finite = np.isfinite(values)
    lowest = values.min(where=finite, initial=np.inf)
    spread = values.max(where=finite, initial=-np.inf) - lowest
    scaled = (values - lowest) * (255 / spread if spread > 0 else 0)
    return np.where(finite, scaled, 0).round().astype(np.uint8)


def _grid(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[N, 1 or 3, H, W] -> [rows * (H + 2) + 2, columns * (W + 2) + 2, 3], black borders."""
    count, _, height, width = images.shape
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    down, across = height + BORDER_PIXELS, width + BORDER_PIXELS
    grid = np.zeros((rows * down + BORDER_PIXELS, columns * across + BORDER_PIXELS, 3), np.uint8)
    for index, image in enumerate(images):
        top = BORDER_PIXELS + index // columns * down
        left = BORDER_PIXELS + index % columns * across
        grid[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return grid

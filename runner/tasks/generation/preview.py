"""A preview of generated images: the first ones in a grid."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from runner.core.lazy import Image, NDArray, np
from runner.tasks.preview import Example

IMAGES = 64
COLUMNS = 8
BORDER_PIXELS = 2


def write_image_grid(examples: Iterator[Example], folder: Path) -> Path | None:
    """Write the first 64 results, images [1 or 3, H, W], as one PNG; return None for other shapes."""
    images = [np.asarray(example.result) for example in islice(examples, IMAGES)]
    if not images or images[0].ndim != 3 or images[0].shape[0] not in (1, 3) or not images[0].size:
        return None
    target = folder / "grid.png"
    Image.fromarray(_grid(_to_bytes(np.stack(images)))).save(target)
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

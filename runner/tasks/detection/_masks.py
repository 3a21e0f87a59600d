"""Masks of objects, by pycocotools.mask: only they need it, and it is imported on first use."""

from __future__ import annotations

import importlib
from typing import Any

from runner.core import ConfigError, Problem
from runner.core.lazy import NDArray, np
from runner.tasks.detection.boxes import RLE


def mask_tools() -> Any:
    """Return the module.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("pycocotools.mask")
    except ImportError as error:
        raise ConfigError(
            f"masks of objects need pycocotools, which cannot be imported: {error}",
            "pip install 'model-zoo-runner[detection]'",
        ) from error


def mask_problems() -> list[Problem]:
    """Return a problem if it is not installed."""
    try:
        mask_tools()
    except ConfigError as error:
        return [error.problem]
    return []


def pasted(inside: NDArray[np.bool_], left: int, top: int, size: tuple[int, int]) -> RLE:
    """Return the mask of a picture's size [height, width] that is `inside` [rows, columns] at a corner, else empty."""
    rows, columns = inside.shape
    picture = np.zeros(size, np.uint8, order="F")
    picture[top : top + rows, left : left + columns] = inside
    encoded: RLE = mask_tools().encode(picture)
    return encoded

"""pycocotools.mask, which only masks of objects need: imported on first use."""

from __future__ import annotations

import importlib
from typing import Any

from runner.core import ConfigError, Problem


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

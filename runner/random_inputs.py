"""Random values for inputs of any type, where there is no data or none is needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runner.artifacts import TensorSpec

SMALLEST_VOCABULARY = 2


def values(generator: np.random.Generator, dtype: str, shape: Sequence[int]) -> NDArray[np.generic]:
    """N(0, 1) for a floating point type, 0..255 for bytes, which are pictures; else 0 and 1.

    Whole numbers are indices or masks, and what lies beyond a network's vocabulary it cannot look up: 0 and 1 are in
    every one.
    """
    if np.issubdtype(np.dtype(dtype), np.floating):
        return np.asarray(generator.standard_normal(shape, dtype=np.float32)).astype(dtype, copy=False)
    below = 256 if dtype == "uint8" else SMALLEST_VOCABULARY
    return generator.integers(0, below, shape).astype(dtype)


def batch_of(tensors: Sequence[TensorSpec], count: int) -> dict[str, NDArray[np.generic]]:
    """`count` seeded samples for each input, by name."""
    generator = np.random.default_rng(0)
    return {tensor.name: values(generator, tensor.dtype, (count, *tensor.shape)) for tensor in tensors}

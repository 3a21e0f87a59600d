"""Random values for inputs of any type, for use without a data set."""

from __future__ import annotations

from collections.abc import Sequence

from runner.core import TensorSpec
from runner.core.lazy import NDArray, np

SMALLEST_VOCABULARY = 2


def values(generator: np.random.Generator, dtype: str, shape: Sequence[int]) -> NDArray[np.generic]:
    """Return N(0, 1) for a floating point type, 0..255 for uint8 (images), otherwise 0 and 1.

    Integers are indices or masks; indices outside a network's vocabulary would fail, and 0 and 1 are in every
    vocabulary.
    """
    if np.issubdtype(np.dtype(dtype), np.floating):
        return np.asarray(generator.standard_normal(shape, dtype=np.float32)).astype(dtype, copy=False)
    below = 256 if dtype == "uint8" else SMALLEST_VOCABULARY
    return generator.integers(0, below, shape).astype(dtype)


def batch_of(tensors: Sequence[TensorSpec], count: int) -> dict[str, NDArray[np.generic]]:
    """Return `count` seeded samples for each input, by name."""
    generator = np.random.default_rng(0)
    return {tensor.name: values(generator, tensor.dtype, (count, *tensor.shape)) for tensor in tensors}

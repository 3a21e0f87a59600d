"""Random values for inputs of any type, for use without a data set."""

from __future__ import annotations

from collections.abc import Sequence

from runner.core import FREE, TensorSpec
from runner.core.lazy import NDArray, np

SMALLEST_VOCABULARY = 2
EXAMPLE_SIZE = 64
OTHER_SIZE = 96
"""The sizes given to axes of free size: multiples of what networks usually ask for."""


def values(generator: np.random.Generator, dtype: str, shape: Sequence[int]) -> NDArray[np.generic]:
    """Return N(0, 1) for a floating point type, 0..255 for uint8 (images), otherwise 0 and 1.

    Integers are indices or masks; indices outside a network's vocabulary would fail, and 0 and 1 are in every
    vocabulary.
    """
    if np.issubdtype(np.dtype(dtype), np.floating):
        return np.asarray(generator.standard_normal(shape, dtype=np.float32)).astype(dtype, copy=False)
    below = 256 if dtype == "uint8" else SMALLEST_VOCABULARY
    return generator.integers(0, below, shape).astype(dtype)


def batch_of(tensors: Sequence[TensorSpec], count: int, size: int = EXAMPLE_SIZE) -> dict[str, NDArray[np.generic]]:
    """Return `count` seeded samples for each input, by name; axes of free size have `size`."""
    generator = np.random.default_rng(0)
    return {tensor.name: values(generator, tensor.dtype, (count, *example(tensor, size).shape)) for tensor in tensors}


def probes(tensors: Sequence[TensorSpec], count: int) -> list[dict[str, NDArray[np.generic]]]:
    """Return a batch of `count` samples to try a model with; two of different sizes if the inputs have free ones."""
    is_free = any(tensor.is_free for tensor in tensors)
    return [batch_of(tensors, count, size) for size in ((EXAMPLE_SIZE, OTHER_SIZE) if is_free else (EXAMPLE_SIZE,))]


def example(tensor: TensorSpec, size: int = EXAMPLE_SIZE) -> TensorSpec:
    """Return the tensor with `size` in place of free sizes."""
    return tensor.at([size if each == FREE else each for each in tensor.shape])

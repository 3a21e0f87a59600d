"""What the steps are given: one batch, random, real or from a file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner import batches, random_inputs
from runner.artifacts import Samples, TensorSpec
from runner.errors import DataError
from runner.preprocess import Normalisation, normalise

RANDOM, REAL = "random", "real"

Arrays = dict[str, NDArray[Any]]
Dimensions = tuple[int | None, ...]


@dataclass(frozen=True)
class Inputs:
    """One batch by input name: as the network takes it, and as the compiled model does, which differ with AIPP."""

    network: Arrays
    compiled: Arrays


def of_samples(samples: Samples, normalisation: Normalisation, batch: int, aipp: bool) -> Inputs:
    """The first batch of the prepared samples.

    Raises:
        DataError: the samples on the disk are not what they should be.
    """
    network = next(batches.iterate(samples, normalisation, batch)).inputs
    return Inputs(network, next(batches.iterate(samples, None, batch)).inputs if aipp else network)


def of_model(tensors: Sequence[TensorSpec], batch: int, source: str, aipp: Normalisation | None) -> Inputs:
    """Random arrays, or those of the .npz `source`. With AIPP (`aipp` is what it does) they are uint8 [N, C, H, W].

    Raises:
        DataError: a file that cannot be read, or holds other arrays than the model takes.
    """
    taken = tensors if aipp is None else [TensorSpec(tensor.name, "uint8", tensor.shape) for tensor in tensors]
    wanted = {tensor.name: (tensor.dtype, (batch, *tensor.shape)) for tensor in taken}
    arrays = random_inputs.batch_of(taken, batch) if source == RANDOM else of_file(Path(source), wanted)
    if aipp is None:
        return Inputs(arrays, arrays)
    compiled = {name: np.ascontiguousarray(np.moveaxis(array, 1, -1)) for name, array in arrays.items()}
    return Inputs({name: normalise(array, aipp) for name, array in arrays.items()}, compiled)


def of_file(path: Path, wanted: Mapping[str, tuple[str, Dimensions]]) -> Arrays:
    """The arrays of an .npz by name, checked against the types and shapes that are `wanted`; None is any size.

    Raises:
        DataError: a file that cannot be read, or holds other arrays.
    """
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise DataError(f"{path} holds a single array without a name", "name a file as numpy.savez writes it")
        with file:
            arrays = dict(file)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}", "name an .npz file") from error
    except (EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no .npz file: {error}", "name a file as numpy.savez writes it") from error
    told = "; ".join(f"{name}: {dtype} {_told(shape)}" for name, (dtype, shape) in wanted.items())
    if set(arrays) != set(wanted):
        raise DataError(f"{path} holds {', '.join(arrays) or 'nothing'}", f"give one array for each input: {told}")
    for name, (dtype, shape) in wanted.items():
        array = arrays[name]
        fits = len(array.shape) == len(shape) and all(
            size in (None, found) for size, found in zip(shape, array.shape, strict=True)
        )
        if array.dtype != dtype or not fits:
            raise DataError(
                f"{path}: {name} is {array.dtype} {list(array.shape)}", f"give one array for each input: {told}"
            )
    return arrays


def random_arrays(wanted: Mapping[str, tuple[str, Dimensions]]) -> Arrays:
    """Seeded random values for each input (runner.random_inputs); a free axis has one element."""
    generator = np.random.default_rng(0)
    return {
        name: random_inputs.values(generator, dtype, [1 if size is None else size for size in dimensions])
        for name, (dtype, dimensions) in wanted.items()
    }


def _told(shape: Dimensions) -> list[int | str]:
    return ["any" if size is None else size for size in shape]

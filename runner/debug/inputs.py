"""The inputs of the steps: one batch, random, real or from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import FREE, DataError, Samples, TensorSpec, check_regular, first_few
from runner.core.lazy import NDArray, np
from runner.data import Normalisation, batches, normalise, random_inputs
from runner.data.arrays import NPY_ERRORS

RANDOM, REAL = "random", "real"

Arrays = dict[str, "NDArray[Any]"]
Dimensions = tuple[int | None, ...]


@dataclass(frozen=True)
class Inputs:
    """One batch by input name, for the network and for the compiled model; the two differ with AIPP."""

    network: Arrays
    compiled: Arrays


def of_samples(samples: Samples, normalisation: Normalisation, batch: int, aipp: bool) -> Inputs:
    """Return the first batch of the prepared samples.

    Raises:
        DataError: the samples on disk are damaged.
    """
    network = next(batches.iterate(samples, normalisation, batch)).inputs
    return Inputs(network, next(batches.iterate(samples, None, batch)).inputs if aipp else network)


def of_model(tensors: Sequence[TensorSpec], batch: int, source: str, aipp: Normalisation | None) -> Inputs:
    """Return random arrays, or those of the .npz `source`; with AIPP, which applies `aipp`, uint8 [N, C, H, W].

    Free sizes are those of runner.data.random_inputs.example; a file may have any.

    Raises:
        DataError: a file that cannot be read, or holds other arrays than the model takes.
    """
    taken = tensors if aipp is None else [TensorSpec(tensor.name, "uint8", tensor.shape) for tensor in tensors]
    wanted: dict[str, tuple[str, Dimensions]] = {
        tensor.name: (tensor.dtype, (batch, *(None if size == FREE else size for size in tensor.shape)))
        for tensor in taken
    }
    arrays = random_inputs.batch_of(taken, batch) if source == RANDOM else of_file(Path(source), wanted)
    if aipp is None:
        return Inputs(arrays, arrays)
    compiled = {name: np.ascontiguousarray(np.moveaxis(array, 1, -1)) for name, array in arrays.items()}
    return Inputs({name: normalise(array, aipp) for name, array in arrays.items()}, compiled)


def of_file(path: Path, wanted: Mapping[str, tuple[str, Dimensions]]) -> Arrays:
    """Read the arrays of an .npz by name and check them against the `wanted` types and shapes; None is any size.

    Raises:
        DataError: a file that cannot be read, or holds other arrays.
    """
    try:
        check_regular(path)
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise DataError(f"{path} holds a single array without a name", "name a file as numpy.savez writes it")
        with file:
            arrays = dict(file)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}", "name an .npz file") from error
    except NPY_ERRORS as error:
        raise DataError(f"{path} is no .npz file: {error}", "name a file as numpy.savez writes it") from error
    expected = "; ".join(
        f"{name}: {dtype} {['any' if size is None else size for size in shape]}"
        for name, (dtype, shape) in wanted.items()
    )
    strange = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]  # another file's bytes
    if strange:
        raise DataError(f"{path} holds {first_few(strange)}, no array", f"give one array for each input: {expected}")
    if set(arrays) != set(wanted):
        raise DataError(f"{path} holds {', '.join(arrays) or 'nothing'}", f"give one array for each input: {expected}")
    for name, (dtype, shape) in wanted.items():
        array = arrays[name]
        fits = len(array.shape) == len(shape) and all(
            size in (None, actual) for size, actual in zip(shape, array.shape, strict=True)
        )
        if array.dtype != dtype or not fits:
            raise DataError(
                f"{path}: {name} is {array.dtype} {list(array.shape)}", f"give one array for each input: {expected}"
            )
    return arrays


def random_arrays(wanted: Mapping[str, tuple[str, Dimensions]]) -> Arrays:
    """Return seeded random values for each input (runner.data.random_inputs); a free axis gets size 1."""
    generator = np.random.default_rng(0)
    return {
        name: random_inputs.values(generator, dtype, [1 if size is None else size for size in dimensions])
        for name, (dtype, dimensions) in wanted.items()
    }

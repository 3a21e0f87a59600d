"""Folders of arrays that are ready for a network: for inputs of any kind and number."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.artifacts import Samples, TensorSpec
from runner.datasets import HashFiles, Policy, Request
from runner.datasets.storage import (
    array_path,
    create_array,
    fill,
    finish,
    limit_note,
    numbered,
    storable_types,
    stored_bytes,
    wanted_count,
)
from runner.errors import DataError, Fault
from runner.progress import track

LABELS = "labels.npy"


@dataclass(frozen=True)
class ArrayFolder:
    """`<root>/<input name>.npy` for every input: [count, *shape], of the type that the network takes.

    Where that is a floating point type they may also be bytes, which model.preprocess normalises. `<root>/labels.npy`,
    if it is there, holds the class indices [count].
    """

    root: str | None = None

    needs_policy = False
    seeded = False

    def faults(self, request: Request) -> list[Fault]:
        try:
            folder = self._folder
        except DataError as error:
            return [Fault(error.message, error.fix)]
        faults, counts = [], {}
        for tensor in request.inputs:
            try:
                counts[f"{tensor.name}.npy"] = len(_read(folder, tensor))
            except DataError as error:
                faults.append(Fault(error.message, error.fix))
        try:
            labels = _read_labels(folder)
        except DataError as error:
            faults.append(Fault(error.message, error.fix))
        else:
            counts |= {} if labels is None else {LABELS: len(labels)}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{name} {count}" for name, count in counts.items())
            faults.append(Fault(f"the arrays in {folder} hold numbers of samples that differ: {told}", "correct them"))
        return faults

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        labels = _read_labels(self._folder)
        files = [array_path(Path(), tensor.name) for tensor in request.inputs]
        return {
            "labels": None if labels is None else labels.tolist(),
            "sha256": list(hash_files(self._folder, files)),
        }

    def stored_bytes(self, request: Request) -> int:
        arrays = {tensor: _read(self._folder, tensor) for tensor in request.inputs}
        return sum(
            stored_bytes((_as_stored(tensor, array),), wanted_count(request.limit, len(array)))
            for tensor, array in arrays.items()
        )

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        available = len(_read(self._folder, request.inputs[0]))
        count = wanted_count(request.limit, available)
        with track("prepare", count * len(request.inputs), "arrays") as advance:
            for tensor in request.inputs:
                _store(_read(self._folder, tensor), tensor, count, out, advance)
        labels = _read_labels(self._folder)
        return finish(
            out,
            request.inputs,
            numbered("sample_", count, 5, available),
            None if labels is None else labels[:count].tolist(),
            note=limit_note(request.limit, available, "samples"),
        )

    @cached_property
    def _folder(self) -> Path:
        fix = "give dataset.root=DIR, a folder with an .npy file for every input of the model"
        if self.root is None:
            raise DataError("dataset.root is not set", fix)
        folder = Path(self.root).expanduser().absolute()
        if not folder.is_dir():
            raise DataError(f"dataset.root: {folder} is no folder", fix)
        return folder


def _as_stored(tensor: TensorSpec, array: NDArray[Any]) -> TensorSpec:
    return TensorSpec(tensor.name, str(array.dtype), tensor.shape)


def _store(array: NDArray[Any], tensor: TensorSpec, count: int, out: Path, advance: Callable[[int], None]) -> None:
    """Write an input's first `count` samples."""
    fill(create_array(out, _as_stored(tensor, array), count), lambda start, end: array[start:end], advance)


def _read(folder: Path, tensor: TensorSpec) -> NDArray[Any]:
    """An input's array, mapped.

    Raises:
        DataError: it is missing, unreadable, or holds something else than the input takes.
    """
    array = _mapped(array_path(folder, tensor.name))
    types = storable_types(tensor)
    if str(array.dtype) not in types or array.shape[1:] != tensor.shape or not len(array):
        raise DataError(
            f"{array_path(folder, tensor.name)} is {array.dtype} {list(array.shape)}",
            f"input {tensor.name!r} takes {' or '.join(types)} [count{''.join(f', {size}' for size in tensor.shape)}]",
        )
    return array


def _read_labels(folder: Path) -> NDArray[Any] | None:
    path = folder / LABELS
    if not path.exists():
        return None
    labels = _mapped(path)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"{path} is {labels.dtype} {list(labels.shape)}", "give class indices, a whole number for each sample"
        )
    return labels


def _mapped(path: Path) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, ValueError, OSError, zipfile.BadZipFile) as error:
        there = ", ".join(sorted(other.name for other in path.parent.glob("*.npy"))) or "no .npy files"
        missing = isinstance(error, FileNotFoundError)
        raise DataError(
            f"{path} {'is not there' if missing else f'cannot be read: {error}'}",
            f"write it with numpy.save; the folder holds {there}",
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim < 1:
        raise DataError(f"{path} holds no array of samples", "write it with numpy.save, samples first")
    return array

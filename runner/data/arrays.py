"""Reader of folders of preprocessed arrays, for inputs of any kind and number."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.core import DataError, Problem, Samples, TensorSpec, shown_size, track
from runner.core.lazy import NDArray, np
from runner.data import storage
from runner.data.reader import HashFiles, Policy, Request
from runner.data.storage import array_path

LABELS = "labels.npy"


@dataclass(frozen=True)
class ArrayFolder:
    """`<root>/<input name>.npy` for every input: [count, *shape], in the network's input type.

    For a floating point input they may also be uint8, which model.preprocess normalises. `<root>/labels.npy`, if
    present, holds the class indices [count].
    """

    root: str | None = None

    needs_policy = False
    seeded = False

    def validate(self, request: Request) -> list[Problem]:
        try:
            folder = self._folder
        except DataError as error:
            return [error.problem]
        problems, counts = [], {}
        for tensor in request.inputs:
            try:
                counts[f"{tensor.name}.npy"] = len(_read(folder, tensor))
            except DataError as error:
                problems.append(error.problem)
        try:
            labels = _read_labels(folder)
        except DataError as error:
            problems.append(error.problem)
        else:
            counts |= {} if labels is None else {LABELS: len(labels)}
        if len(set(counts.values())) > 1:
            counts_text = ", ".join(f"{name} {count}" for name, count in counts.items())
            problems.append(
                Problem(f"the arrays in {folder} hold numbers of samples that differ: {counts_text}", "correct them")
            )
        return problems

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
            storage.stored_bytes((_as_stored(tensor, array),), storage.wanted_count(request.limit, len(array)))
            for tensor, array in arrays.items()
        )

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        available = len(_read(self._folder, request.inputs[0]))
        count = storage.wanted_count(request.limit, available)
        with track("prepare", count * len(request.inputs), "arrays") as advance:
            for tensor in request.inputs:
                _store(_read(self._folder, tensor), tensor, count, out, advance)
        labels = _read_labels(self._folder)
        return storage.finish(
            out,
            request.inputs,
            storage.numbered("sample_", count, 5, available),
            None if labels is None else labels[:count].tolist(),
            note=storage.limit_note(request.limit, available, "samples"),
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
    return TensorSpec(tensor.name, str(array.dtype), array.shape[1:])


def _store(array: NDArray[Any], tensor: TensorSpec, count: int, out: Path, advance: Callable[[int], None]) -> None:
    """Write an input's first `count` samples."""
    storage.fill(
        storage.create_array(out, _as_stored(tensor, array), count), lambda start, end: array[start:end], advance
    )


def _read(folder: Path, tensor: TensorSpec) -> NDArray[Any]:
    """Open an input's array memory-mapped.

    Raises:
        DataError: it is missing, unreadable, or has the wrong type or shape.
    """
    array = _mapped(array_path(folder, tensor.name))
    types = storage.storable_types(tensor)
    if str(array.dtype) not in types or not tensor.takes(array.shape[1:]) or not len(array):
        wanted = ", ".join(["count", *map(shown_size, tensor.shape)])
        raise DataError(
            f"{array_path(folder, tensor.name)} is {array.dtype} {list(array.shape)}",
            f"input {tensor.name!r} takes {' or '.join(types)} [{wanted}]",
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
        there = ", ".join(sorted(file.name for file in path.parent.glob("*.npy"))) or "no .npy files"
        missing = isinstance(error, FileNotFoundError)
        raise DataError(
            f"{path} {'is not there' if missing else f'cannot be read: {error}'}",
            f"write it with numpy.save; the folder holds {there}",
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim < 1:
        raise DataError(f"{path} holds no array of samples", "write it with numpy.save, samples first")
    return array

"""Reader of folders of arrays, for inputs of any kind and number."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from runner.core import DataError, Problem, Samples, TensorSpec, at_home, check_regular, shown_size, track
from runner.core.lazy import Image, NDArray, np
from runner.data import storage
from runner.data.picture_files import root_folder
from runner.data.picture_sources import Picture, PictureSource, picture_bytes, size_problem
from runner.data.pictures import write_samples
from runner.data.reader import HashFiles, Policy, Request
from runner.data.storage import array_path

LABELS = "labels.npy"
NPY_ERRORS = (
    *(EOFError, OverflowError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What numpy raises, beside OSError, for a file that is no .npy or .npz, damaged, encrypted, or packed otherwise."""


@dataclass(frozen=True)
class ArrayFolder:
    """`<root>/<input name>.npy` for every input: [count, *shape], in the network's input type.

    For a floating point input they may also be uint8, which model.preprocess normalises. If it is the model's only
    input, uint8 pictures [count, 1 or 3 channels, height, width] may have any size: model.preprocess fits them into
    what the network takes. Channels are in the network's order. `labels` is an .npy of class indices [count]; None
    stands for `<root>/labels.npy`, if it is there.
    """

    root: str | None = None
    labels: str | None = None

    needs_policy = False
    seeded = False

    @property
    def has_truth(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None or (self.root is not None and self._labels_path(Path(self.root)).exists())

    def validate(self, request: Request) -> list[Problem]:
        try:
            folder = self._folder
        except DataError as error:
            return [error.problem]
        problems, counts = [], {}
        for tensor in request.inputs:
            try:
                array = _read(folder, tensor, request)
            except DataError as error:
                problems.append(error.problem)
            else:
                counts[f"{tensor.name}.npy"] = len(array)
                if _is_resized(array, request):
                    problems += _size_problems(array_path(folder, tensor.name), array, request)
        try:
            labels = self._read_labels()
        except DataError as error:
            problems.append(error.problem)
        else:
            counts |= {} if labels is None else {self._labels_path(folder).name: len(labels)}
        if len(set(counts.values())) > 1:
            counts_text = ", ".join(f"{name} {count}" for name, count in counts.items())
            problems.append(
                Problem(f"the arrays in {folder} hold numbers of samples that differ: {counts_text}", "correct them")
            )
        return problems

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        labels = self._read_labels()
        files = [array_path(Path(), tensor.name) for tensor in request.inputs]
        return {
            "labels": None if labels is None else labels.tolist(),
            "sha256": list(hash_files(self._folder, files)),
        }

    def stored_bytes(self, request: Request) -> int:
        arrays = self._arrays(request)
        first = arrays[request.inputs[0]]
        count = storage.wanted_count(request.limit, len(first))
        if _is_resized(first, request):
            return count * picture_bytes(self._source(request, first), ["0"], request)
        return storage.stored_bytes([_as_stored(*pair) for pair in arrays.items()], count)

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        arrays = self._arrays(request)
        first = arrays[request.inputs[0]]
        available = len(first)
        count = storage.wanted_count(request.limit, available)
        ids = storage.numbered("sample_", count, 5, available)
        labels = self._read_labels()
        truths = [None] * count if labels is None else labels[:count].tolist()
        if _is_resized(first, request):
            pictures = list(map(Picture, map(str, range(count)), ids, truths))
            in_order = replace(request, geometry=replace(request.geometry, channels="rgb"))  # as the array has them
            return write_samples(self._source(request, first), pictures, in_order, out, available=available)
        with track("prepare", count * len(request.inputs), "arrays") as advance:
            for tensor, array in arrays.items():
                _store(array, tensor, count, out, advance)
        note = storage.limit_note(request.limit, available, "samples")
        return storage.finish(out, request.inputs, ids, truths, note=note)

    def _arrays(self, request: Request) -> dict[TensorSpec, np.memmap[Any, Any]]:
        return {tensor: _read(self._folder, tensor, request) for tensor in request.inputs}

    def _source(self, request: Request, array: np.memmap[Any, Any]) -> PictureSource:
        """Return the source of the only input's pictures; their items are indices."""
        path = array_path(self._folder, request.inputs[0].name)
        order: Literal["C", "F"] = "F" if array.flags.fnc else "C"
        load = partial(_picture, path, array.offset, array.shape, order)
        return PictureSource(load=load, size_of=partial(_size, array.shape[2:]))

    def _labels_path(self, folder: Path) -> Path:
        path = folder / LABELS if self.labels is None else Path(self.labels)
        return at_home(path).absolute()

    def _read_labels(self) -> NDArray[Any] | None:
        if not self.has_truth:
            return None
        path = self._labels_path(self._folder)
        labels = _mapped(path)
        if labels.ndim != 1 or labels.dtype.kind not in "iu":  # np.integer has durations among it
            raise DataError(
                f"{path} is {labels.dtype} {list(labels.shape)}", "give class indices, a whole number for each sample"
            )
        return labels

    @cached_property
    def _folder(self) -> Path:
        return root_folder(self.root, "give dataset.root=DIR, a folder with an .npy file for every input of the model")


def _as_stored(tensor: TensorSpec, array: NDArray[Any]) -> TensorSpec:
    return TensorSpec(tensor.name, str(array.dtype), array.shape[1:])


def _store(array: NDArray[Any], tensor: TensorSpec, count: int, out: Path, advance: Callable[[int], None]) -> None:
    """Write an input's first `count` samples."""
    storage.fill(
        storage.create_array(out, _as_stored(tensor, array), count), lambda start, end: array[start:end], advance
    )


def _read(folder: Path, tensor: TensorSpec, request: Request) -> np.memmap[Any, Any]:
    """Open an input's array memory-mapped.

    Raises:
        DataError: it is missing, unreadable, or has the wrong type or shape.
    """
    path = array_path(folder, tensor.name)
    array = _mapped(path)
    types = storage.storable_types(tensor)
    is_fitting = str(array.dtype) in types and tensor.takes(array.shape[1:])
    if len(array) and (is_fitting or _is_resized(array, request)):
        return array
    wanted = ", ".join(["count", *map(shown_size, tensor.shape)])
    fix = f"input {tensor.name!r} takes {' or '.join(types)} [{wanted}]"
    if _takes_pictures(request):
        fix += f"; uint8 [count, {tensor.shape[0]}, height, width] of any size is resized as model.preprocess.fit says"
    raise DataError(f"{path} is {array.dtype} {list(array.shape)}", fix)


def _takes_pictures(request: Request) -> bool:
    tensor = request.inputs[0]
    return len(request.inputs) == 1 and tensor.is_floating and len(tensor.shape) == 3 and tensor.shape[0] in (1, 3)


def _is_resized(array: NDArray[Any], request: Request) -> bool:
    """Return whether the only input's array holds pictures of another size than the network takes."""
    tensor = request.inputs[0]
    return (
        _takes_pictures(request)
        and array.dtype == np.uint8
        and array.ndim == 4
        and array.shape[1] == tensor.shape[0]
        and min(array.shape[2:]) > 0
        and not tensor.takes(array.shape[1:])
    )


def _size_problems(path: Path, array: NDArray[Any], request: Request) -> list[Problem]:
    _, _, height, width = array.shape
    problem = size_problem((height, width), request)
    return [Problem(f"{path} is uint8 {list(array.shape)}: {problem.message}", problem.fix)] if problem else []


def _picture(path: Path, offset: int, shape: tuple[int, ...], order: Literal["C", "F"], item: str) -> Image.Image:
    """Return one of a file's pictures; three channels count as RGB, in whatever order they are.

    The file is mapped without its header, whose parsing takes longer than a small picture.
    """
    try:
        values = np.memmap(path, np.uint8, "r", offset, shape, order)[int(item)]
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return Image.fromarray(np.ascontiguousarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0)))


def _size(size: tuple[int, int], item: str) -> tuple[int, int]:
    return size


def _mapped(path: Path) -> np.memmap[Any, Any]:
    try:
        check_regular(path)
        with np.errstate(over="ignore"):  # of the size of a shape that no file has, which is an error afterwards
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, *NPY_ERRORS) as error:
        raise _unreadable(path, error) from error
    if not isinstance(array, np.memmap) or array.ndim < 1:
        raise DataError(f"{path} holds no array of samples", "write it with numpy.save, samples first")
    return array


def _unreadable(path: Path, error: Exception) -> DataError:
    there = ", ".join(sorted(file.name for file in path.parent.glob("*.npy"))) or "no .npy files"
    missing = isinstance(error, FileNotFoundError)
    return DataError(
        f"{path} {'is not there' if missing else f'cannot be read: {error}'}",
        f"write it with numpy.save; the folder holds {there}",
    )

"""Samples as files, for the tools that read folders: written in bounded chunks, outputs read back, both removed.

A chunk holds whole batches, padding included, so that no tool sees a partial one: the ais_infer of June 2022 dropped
it (github.com/Ascend/tools at 256ed1f), the later ones pad it by themselves.
"""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.artifacts import CompiledModel, TensorSpec
from runner.batches import Batch
from runner.errors import ToolError
from runner.process import Finished
from runner.tools import command_line

CHUNK_BYTES = 2 << 30
CHUNK_FILES = 4096
"""What a chunk may take, unless a single batch takes more."""


@dataclass(frozen=True)
class Chunk:
    """Files of consecutive batches: `<folder>/<input index>/<sample index, 8 digits>.bin`, raw little-endian values.

    `names` are the files' names in sample order, the same in every input's folder. `batches` of `rows` samples each are
    the run's; more files may follow, copies of the last batch.
    """

    number: int
    folders: tuple[Path, ...]
    names: tuple[str, ...]
    batches: int
    rows: int

    def samples(self) -> Iterator[tuple[str, ...]]:
        """The names of each batch's samples, without the copies."""
        for start in range(0, self.batches * self.rows, self.rows):
            yield self.names[start : start + self.rows]


def folders_of(root: Path, inputs: Sequence[TensorSpec]) -> list[Path]:
    """Where the files of each input of the model lie: by number, for a name could hold what no path may."""
    return [root / str(index) for index in range(len(inputs))]


def batches_per_chunk(inputs: Sequence[TensorSpec], rows: int, multiple: int = 1) -> int:
    """How many batches of `rows` samples a chunk holds: a multiple of `multiple`, within the limits, at least that."""
    batch_bytes = rows * sum(np.dtype(tensor.dtype).itemsize * math.prod(tensor.shape) for tensor in inputs)
    fitting = min(CHUNK_BYTES // max(batch_bytes, 1), CHUNK_FILES // (rows * len(inputs)))
    return max(fitting // multiple, 1) * multiple


def chunks(
    batches: Iterable[Batch], inputs: Sequence[TensorSpec], rows: int, work: Path, multiple: int = 1
) -> Generator[Chunk]:
    """Write the batches below `work`, a chunk at a time; a chunk's files are removed when the next is asked for.

    The last chunk is filled with copies of its last batch to a multiple of `multiple` batches, so that each of so many
    devices gets whole batches.

    Raises:
        ToolError: a batch lacks an input, or has another shape or values that its type cannot hold.
    """
    source = iter(batches)
    size = batches_per_chunk(inputs, rows, multiple)
    for number in itertools.count():
        root = command_line.new_folder(work / f"samples{number}")
        try:
            folders = tuple(map(command_line.new_folder, folders_of(root, inputs)))
            names, count = _write(itertools.islice(source, size), inputs, rows, folders, number * size * rows, multiple)
            if count == 0:
                return
            yield Chunk(number, folders, names, count, rows)
        finally:
            shutil.rmtree(root)


def infer(
    batches: Iterable[Batch],
    model: CompiledModel,
    work: Path,
    run: Callable[[Chunk, Path], Finished],
    files_of: Callable[[Chunk, Path], Mapping[str, Sequence[Path]]],
    devices: int = 1,
) -> Iterator[dict[str, NDArray[Any]]]:
    """Outputs by name, [batch, ...] for each batch in order, padding included: a tool is `run` for each chunk.

    It gets an empty folder below `work`; `files_of` finds there what it has written for each sample, by the sample's
    name.

    Raises:
        ToolError: the tool fails, or leaves outputs out.
    """
    for chunk in chunks(batches, model.inputs, model.batch, work, devices):
        results = command_line.new_folder(work / f"outputs{chunk.number}")
        finished = run(chunk, results)
        with command_line.blamed_on(finished, "infer"):
            files = files_of(chunk, results)
        yield from _read_outputs(finished, chunk, files, model.outputs)
        shutil.rmtree(results)


@contextmanager
def repeated(
    inputs: Mapping[str, NDArray[Any]], tensors: Sequence[TensorSpec], rows: int, work: Path, devices: int = 1
) -> Iterator[Chunk]:
    """One batch of inputs by name [batch, ...] as files below `work`, as often as there are devices; then removed.

    Raises:
        ToolError: it lacks an input, or has another shape or values that its type cannot hold.
    """
    batch = Batch(tuple(map(str, range(rows))), dict(inputs))
    with closing(chunks([batch], tensors, rows, work, devices)) as written:
        yield next(written)


def _write(
    batches: Iterator[Batch],
    inputs: Sequence[TensorSpec],
    rows: int,
    folders: Sequence[Path],
    first: int,
    multiple: int,
) -> tuple[tuple[str, ...], int]:
    """The names of all files of one input, and the number of batches before the copies."""
    names: list[str] = []
    count = 0
    last: list[NDArray[Any]] = []
    for batch in batches:
        last = [stored(batch.inputs, tensor, rows) for tensor in inputs]
        names += _write_batch(last, folders, first + len(names))
        count += 1
    for _ in range(-count % multiple):
        names += _write_batch(last, folders, first + len(names))
    return tuple(names), count


def _write_batch(arrays: Sequence[NDArray[Any]], folders: Sequence[Path], first: int) -> list[str]:
    names = [f"{first + row:08d}.bin" for row in range(len(arrays[0]))]
    for array, folder in zip(arrays, folders, strict=True):
        for name, values in zip(names, array, strict=True):
            (folder / name).write_bytes(values.tobytes())
    return names


def stored(arrays: Mapping[str, NDArray[Any]], tensor: TensorSpec, rows: int) -> NDArray[Any]:
    """One input [rows, *shape] as the model takes it: contiguous, little-endian, of its type.

    Raises:
        ToolError: it is missing, has another shape, or holds values that the type cannot.
    """
    array = arrays.get(tensor.name)
    wanted = (rows, *tensor.shape)
    if array is None or array.shape != wanted:
        got = "missing" if array is None else f"{list(array.shape)}"
        raise ToolError(
            f"the model's input {tensor.name!r} is {list(wanted)}, the samples' is {got}",
            "compare model.inputs with what the data set's reader yields",
        )
    kind = np.dtype(tensor.dtype).newbyteorder("<")
    with np.errstate(invalid="ignore"):
        values = np.ascontiguousarray(array, dtype=kind)
    if kind.kind != "f" and not np.array_equal(values, array):
        raise ToolError(
            f"the samples of input {tensor.name!r} hold values that {tensor.dtype} cannot, as the model takes them",
            "compare model.inputs and model.preprocess",
        )
    return values


def outputs(
    chunk: Chunk, files: Mapping[str, Sequence[Path]], tensors: Sequence[TensorSpec]
) -> Iterator[dict[str, NDArray[Any]]]:
    """Outputs by name, [rows, *shape], for each batch of the chunk in order; `files` are a sample's, by its name.

    Raises:
        ToolError: a sample has no outputs, or more or fewer than the model, or a file has another size.
    """
    _check(chunk, files, tensors)
    for names in chunk.samples():
        yield {
            tensor.name: np.stack([decoded(files[name][index].read_bytes(), tensor, name) for name in names])
            for index, tensor in enumerate(tensors)
        }


def _read_outputs(
    finished: Finished, chunk: Chunk, files: Mapping[str, Sequence[Path]], tensors: Sequence[TensorSpec]
) -> Iterator[dict[str, NDArray[Any]]]:
    """The chunk's outputs, a batch at a time; what is wrong with them is blamed on the command."""
    batches = outputs(chunk, files, tensors)
    while True:
        with command_line.blamed_on(finished, "infer"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _check(chunk: Chunk, files: Mapping[str, Sequence[Path]], tensors: Sequence[TensorSpec]) -> None:
    """See that every sample of the chunk has its outputs.

    Raises:
        ToolError: a sample has none, or more or fewer than the model.
    """
    wanted = [name for names in chunk.samples() for name in names]
    missing = [name for name in wanted if name not in files]
    if missing:
        raise ToolError(
            f"{len(wanted)} samples went in, {len(wanted) - len(missing)} came out: {missing[0]} has no output",
            "the tool failed without saying so; look into its log",
        )
    for name in wanted:
        if len(files[name]) != len(tensors):
            raise ToolError(
                f"the model declares {len(tensors)} outputs ({', '.join(tensor.name for tensor in tensors)}),"
                f" the tool wrote {len(files[name])} for {name}",
                "correct model.outputs, in the order in which the network returns them",
            )
        absent = next((path for path in files[name] if not path.is_file()), None)
        if absent is not None:
            raise ToolError(f"the tool names the output {absent}, which is not there", "is the disk full?")


def decoded(content: bytes, tensor: TensorSpec, name: str) -> NDArray[Any]:
    """One sample's output [*shape] in the declared type; a float may be stored as float32 or float16, by its size.

    Raises:
        ToolError: another number of bytes.
    """
    declared = np.dtype(tensor.dtype)
    count = math.prod(tensor.shape)
    kinds: list[np.dtype[Any]] = (
        [np.dtype("<f4"), np.dtype("<f2")] if declared.kind == "f" else [declared.newbyteorder("<")]
    )
    for kind in kinds:
        if len(content) == count * kind.itemsize:
            return np.frombuffer(content, dtype=kind).reshape(tensor.shape).astype(declared)
    wanted = " or ".join(f"{count * kind.itemsize} ({kind.name})" for kind in kinds)
    raise ToolError(
        f"output {tensor.name!r} {list(tensor.shape)} of {name} takes {wanted} bytes, the tool wrote {len(content)}",
        "is the OM of this model and batch? force=[compile] redoes it",
    )

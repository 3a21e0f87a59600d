"""Samples as files, for tools that read folders: written in chunks, outputs read back, then both removed.

A chunk contains whole batches, including padding, so that no tool gets a partial one: ais_infer of June 2022 drops it
(github.com/Ascend/tools at 256ed1f), later versions pad it themselves.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import CompiledModel, Finished, TensorSpec, ToolError
from runner.core.lazy import NDArray, np
from runner.data import Batch
from runner.tools import command_line

CHUNK_BYTES = 2 << 30
CHUNK_FILES = 4096
"""Limits of a chunk, unless a single batch exceeds them."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Files of consecutive batches: `<folder>/<input index>/<sample index, 8 digits>.bin`, raw little-endian values.

    `names` are the files' names in sample order, the same in every input's folder. `batches` is the number of real
    batches of `rows` samples each; copies of the last batch may follow.
    """

    number: int
    folders: tuple[Path, ...]
    names: tuple[str, ...]
    batches: int
    rows: int

    def samples(self) -> Iterator[tuple[str, ...]]:
        """Yield the names of each batch's samples, without copies."""
        for start in range(0, self.batches * self.rows, self.rows):
            yield self.names[start : start + self.rows]


def folders_of(root: Path, inputs: Sequence[TensorSpec]) -> list[Path]:
    """Return a folder per model input, named by index, since input names may be invalid in paths."""
    return [root / str(index) for index in range(len(inputs))]


def batches_per_chunk(inputs: Sequence[TensorSpec], rows: int, multiple: int = 1) -> int:
    """Return the number of batches per chunk: the largest multiple of `multiple` within the limits, at least that."""
    batch_bytes = rows * sum(tensor.sample_bytes for tensor in inputs)
    fitting = min(CHUNK_BYTES // max(batch_bytes, 1), CHUNK_FILES // (rows * len(inputs)))
    return max(fitting // multiple, 1) * multiple


def chunks(
    batches: Iterable[Batch], inputs: Sequence[TensorSpec], rows: int, work: Path, multiple: int = 1
) -> Generator[Chunk]:
    """Write the batches below `work` and yield them in chunks; a chunk's files are removed before the next one.

    The last chunk is padded with copies of its last batch to a multiple of `multiple` (the number of devices) batches,
    so that each device gets whole batches.

    Raises:
        ToolError: a batch lacks an input, or has another shape or values out of its type's range.
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
            yield Chunk(number=number, folders=folders, names=names, batches=count, rows=rows)
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
    """Yield the outputs of each batch by name [batch, ...], including padding: `run` calls the tool for each chunk.

    It gets an empty results folder below `work`; `files_of` returns the output files in it by sample name.

    Raises:
        ToolError: the tool fails, or leaves outputs out.
    """
    for chunk in chunks(batches, model.inputs, model.batch, work, devices):
        results = command_line.new_folder(work / f"outputs{chunk.number}")
        finished = run(chunk, results)
        with command_line.attributed_to(finished):
            files = files_of(chunk, results)
        yield from _read_outputs(finished, chunk, files, model.outputs)
        shutil.rmtree(results)


@contextmanager
def repeated(
    inputs: Mapping[str, NDArray[Any]], tensors: Sequence[TensorSpec], rows: int, work: Path, devices: int = 1
) -> Iterator[Chunk]:
    """Write one batch of inputs by name [batch, ...] below `work`, once per device; removed afterwards.

    Raises:
        ToolError: it lacks an input, or has another shape or values out of its type's range.
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
    """Write a chunk; return the file names of one input, and the number of batches without copies."""
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
            write(folder / name, values.tobytes())
    return names


def write(path: Path, content: bytes) -> None:
    """Write a file that only its owner may write, whatever the umask: the latest ais_bench refuses others."""
    with open(path, "wb", opener=lambda name, mode: os.open(name, mode, 0o640)) as file:
        file.write(content)


def stored(arrays: Mapping[str, NDArray[Any]], tensor: TensorSpec, rows: int) -> NDArray[Any]:
    """Convert an input [rows, *shape] to the model's type: contiguous and little-endian.

    Raises:
        ToolError: it is missing, has another shape, or has values out of the type's range.
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
    """Yield outputs by name [rows, *shape] for each batch of the chunk; `files` are by sample name.

    Raises:
        ToolError: a sample has missing or too many outputs, or a file has another size.
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
    """Yield the chunk's outputs per batch; errors are attributed to the command."""
    batches = outputs(chunk, files, tensors)
    while True:
        with command_line.attributed_to(finished):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _check(chunk: Chunk, files: Mapping[str, Sequence[Path]], tensors: Sequence[TensorSpec]) -> None:
    """Check that every sample of the chunk has its outputs.

    Raises:
        ToolError: a sample has missing or too many outputs.
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
    """Return one sample's output [*shape] in the declared type, converted from another width by the size.

    Floats may be stored as float32 or float16, and int64 as int32.

    Raises:
        ToolError: the size does not match.
    """
    declared = np.dtype(tensor.dtype)
    count = math.prod(tensor.shape)
    kinds: list[np.dtype[Any]] = [declared.newbyteorder("<")]
    if declared.kind == "f":
        kinds = [np.dtype("<f4"), np.dtype("<f2")]
    elif declared == np.int64:
        kinds.append(np.dtype("<i4"))
    for kind in kinds:
        if len(content) == count * kind.itemsize:
            return np.frombuffer(content, dtype=kind).reshape(tensor.shape).astype(declared)
    wanted = " or ".join(f"{count * kind.itemsize} ({kind.name})" for kind in kinds)
    raise ToolError(
        f"output {tensor.name!r} {list(tensor.shape)} of {name} takes {wanted} bytes, the tool wrote {len(content)}",
        "is the OM of this model and batch? force=[compile] redoes it",
    )

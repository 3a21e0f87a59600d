"""Find the inputs and outputs of an ONNX file from outside by reading and running it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.core import DTYPES, FREE, ConfigError, ExportError, TensorSpec, Weights, sha256_of
from runner.core.lazy import onnx
from runner.data import random_inputs
from runner.graph import onnx_files, running
from runner.new.probing import Probed, Wanted
from runner.stages.import_onnx import ImportSpec, import_onnx

_PROBE_BATCH = 2


@dataclass(frozen=True, kw_only=True)
class OutsideModel:
    """An ONNX file: its inputs and outputs, its fixed batch size (None if that is free), and what it says of itself."""

    probed: Probed
    batch: int | None
    opset: int
    producer: str
    metadata: Mapping[str, str]
    sha256: str
    size_bytes: int


def read(path: Path, wanted: Sequence[Wanted]) -> OutsideModel:
    """Read an ONNX file, check it as a run would, and run it once; `wanted` gives free sizes of inputs by name.

    Raises:
        ConfigError: it is no file, its inputs are no tensors that the runner knows, or `wanted` names others.
        ExportError: it is no usable ONNX model.
    """
    if not path.is_file():
        raise ConfigError(f"--onnx {path} is no file", "name an ONNX file")
    model = onnx_files.load_without_data(path)
    if not model.graph.node or not model.graph.output:
        raise ConfigError(f"--onnx {path} is no ONNX model: it has no nodes or no outputs", "name an ONNX file")
    values = onnx_files.inputs_of(model.graph)
    inputs = tuple(_given(list(map(_input, values)), wanted))
    batch = _batch(values)
    sha256 = sha256_of(path)
    spec = ImportSpec(inputs, tuple(value.name for value in model.graph.output), batch)
    with tempfile.TemporaryDirectory(prefix="runner-new-") as folder:
        try:
            read_back = import_onnx(spec, Weights(path, sha256, "file"), Path(folder))
            feeds = random_inputs.batch_of(inputs, batch or _PROBE_BATCH)
            outputs = running.outputs_of(read_back.path, spec.outputs, [feeds])
        except ExportError as error:
            if not any(tensor.is_free for tensor in inputs):
                raise
            shapes = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in inputs)
            raise ConfigError(
                f"{path} cannot be run with the free sizes of {shapes} set to {random_inputs.EXAMPLE_SIZE} or "
                f"{random_inputs.OTHER_SIZE}: {error.message}",
                f"fix them, as in --input {inputs[0].name}:3,640,640",
            ) from error
    growing = tuple(axis for axis, size in enumerate(read_back.outputs[0].shape) if size == FREE)
    return OutsideModel(
        probed=Probed(inputs, outputs, growing),
        batch=batch,
        opset=read_back.opset,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        metadata=read_back.metadata,
        sha256=sha256,
        size_bytes=path.stat().st_size,
    )


def _input(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type.elem_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind).name if kind else "no tensor"
    if dtype not in DTYPES:
        raise ConfigError(f"input {value.name} of the ONNX file is {dtype}", f"inputs may be {', '.join(DTYPES)}")
    sizes = onnx_files.axes_of(value)[1:]
    return TensorSpec(value.name, dtype, tuple(FREE if isinstance(size, str) else size for size in sizes))


def _batch(values: Sequence[onnx.ValueInfoProto]) -> int | None:
    first = {axes[0] for value in values if (axes := onnx_files.axes_of(value))}
    return next((axis for axis in first if isinstance(axis, int)), None)


def _given(inputs: Sequence[TensorSpec], wanted: Sequence[Wanted]) -> Iterator[TensorSpec]:
    """Yield the inputs in the sizes that the command line gives; a name may be left out of a single input."""
    names = [tensor.name for tensor in inputs]
    by_name = {each.name or (names[0] if len(names) == 1 else ""): each for each in wanted}
    unknown = ", ".join(name or "an input without a name" for name in by_name if name not in names)
    if unknown:
        raise ConfigError(f"--input gives {unknown}", f"name one of the ONNX file's inputs: {', '.join(names)}")
    for tensor in inputs:
        shape = by_name[tensor.name].shape if tensor.name in by_name else tensor.shape
        if not tensor.takes(shape):
            raise ConfigError(
                f"--input gives {tensor.name} as {list(shape)}, and in the ONNX file it is {list(tensor.shape)}",
                f"keep the sizes that the file fixes; {FREE} is a free one",
            )
        yield tensor.at(shape)

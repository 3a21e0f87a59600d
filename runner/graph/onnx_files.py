"""Reading, writing and checking ONNX files."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from runner.core import FREE, ExportError, TensorSpec, check_regular, os_errors
from runner.core.lazy import np, onnx
from runner.graph import external_data

LARGEST_BYTES = (1 << 31) - (1 << 24)
"""Most bytes of weights inside a file: protobuf holds less than 2 GiB, and the rest of a model is far below 16 MiB."""
DATA_SUFFIX = ".data"
"""A model's larger weights are in a file beside it, whose name is the model's with this suffix."""

Dimension = int | str
"""A number, or the name of a dynamic axis."""


def load(path: Path) -> onnx.ModelProto:
    """Read a model, including weights in external files beside it.

    Raises:
        ExportError: it cannot be read, or refers to weights outside its own folder.
    """
    model = load_without_data(path)
    load_data(model, path)
    return model


def load_without_data(path: Path) -> onnx.ModelProto:
    """Read a model without its external weights.

    Raises:
        ExportError: it cannot be read, or refers to weights outside its own folder.
        OSError: the machine refuses it, as where too many files are open.
    """
    try:
        check_regular(path)
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # exceptions of protobuf and onnx have no common base class
        if os_errors.of_the_machine(error) is not None:
            raise
        raise ExportError(f"{path} is no ONNX model: {error}", "export it again") from error
    check_weights_beside(model, path)
    return model


def load_data(model: onnx.ModelProto, path: Path, most_bytes: int | None = None) -> None:
    """Read into a model, or a part of one, that was read from `path`, the weights that are in files beside it.

    With `most_bytes`, only tensors of at most that size.

    Raises:
        ExportError: they cannot be read.
    """
    for tensor in _tensors(model):
        is_elsewhere = onnx.external_data_helper.uses_external_data(tensor)
        if is_elsewhere and (most_bytes is None or _bytes_of(tensor) <= most_bytes):
            try:
                onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
            except Exception as error:  # missing, truncated, or of another shape: a different exception class each
                if os_errors.of_the_machine(error) is not None:
                    raise
                raise ExportError(f"the weights of {path} cannot be read: {error}", "export it again") from error


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a model, with its weights beside it if they are more than LARGEST_BYTES; the model itself stays whole."""
    if _weight_bytes(model) <= LARGEST_BYTES:
        onnx.save(model, path)
        return
    data = path.with_name(path.name + DATA_SUFFIX)
    data.unlink(missing_ok=True)  # onnx appends to it
    onnx.save(model, path, save_as_external_data=True, location=data.name)
    shutil.copymode(path, data)  # onnx makes it readable for this user alone
    onnx.load_external_data_for_model(model, str(path.parent))  # onnx has moved the weights out of the model


def gather_data(path: Path) -> None:
    """Write a model anew as `save` does if it has weights in other files, as torch leaves one for each tensor."""
    beside = external_data.locations(path)
    if beside:
        model = load(path)
        for name in beside:
            (path.parent / name).unlink()
        save(model, path)


def copy(path: Path, target: Path) -> None:
    """Copy a model and its weights, in the file or beside it."""
    if external_data.locations(path):
        save(load(path), target)
    else:
        shutil.copyfile(path, target)


@contextmanager
def for_libraries(model: onnx.ModelProto | Path) -> Iterator[onnx.ModelProto | str]:
    """Yield a model as libraries take it: itself, or the path of a file if it is one or is too large to be serialised.

    A library reads weights from wherever a file refers to: check it by `load_without_data` first.
    """
    if isinstance(model, Path):
        yield str(model)
        return
    if _weight_bytes(model) <= LARGEST_BYTES:
        yield model
        return
    with TemporaryDirectory(prefix="onnx-") as folder:
        path = Path(folder) / "model.onnx"
        save(model, path)
        yield str(path)


def _weight_bytes(model: onnx.ModelProto) -> int:
    return sum(len(tensor.raw_data) for tensor in _tensors(model) if tensor.HasField("raw_data"))


def _bytes_of(tensor: onnx.TensorProto) -> float:
    """Return the size of a tensor's values; infinity if its type is unknown."""
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, TypeError):
        return math.inf
    size: int = math.prod(tensor.dims) * dtype.itemsize
    return size


def check_weights_beside(model: onnx.ModelProto, path: Path) -> None:
    """Check that a model read from `path` has its weights in itself or in files below its own folder.

    Raises:
        ExportError: it refers to weights elsewhere, or to a file that is missing, a link, or no regular file.
    """
    entries = [entry for tensor in _tensors(model) for entry in tensor.external_data]
    external_data.check(path, (entry.value for entry in entries if entry.key == "location"))


def _tensors(message: Any) -> Iterator[Any]:
    """Yield every tensor in a model: weights and constants, including those of subgraphs and functions."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for submessage in (value,) if hasattr(value, "ListFields") else value:
                yield from _tensors(submessage)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs inside a node, such as the branches of an If."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def opset_of(model: onnx.ModelProto) -> int | None:
    """Return the opset version of a model for the default ONNX domain."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)


def inputs_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return the graph inputs that are not weights."""
    weights = {tensor.name for tensor in graph.initializer} | {each.values.name for each in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in weights]


def check(
    given: onnx.ModelProto | Path, inputs: Sequence[TensorSpec], outputs: Sequence[str], opset: int, batch: int | None
) -> None:
    """Check a model, or a file of one, against its declaration; `batch` is None for a dynamic batch axis.

    Raises:
        ExportError: the model is invalid, or its opset, names, shapes or types differ.
    """
    model = load_without_data(given) if isinstance(given, Path) else given
    try:
        with for_libraries(given) as source:
            onnx.checker.check_model(source)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"the ONNX model is invalid: {error}", "try another model.export.opset") from error
    if opset_of(model) != opset:
        raise ExportError(f"the ONNX model has opset {opset_of(model)}, not {opset}", "try another model.export.opset")
    _check_inputs(model, inputs, batch)
    _check_outputs(model, outputs, batch)


def _check_inputs(model: onnx.ModelProto, inputs: Sequence[TensorSpec], batch: int | None) -> None:
    actual = inputs_of(model.graph)
    names, declared = [value.name for value in actual], [tensor.name for tensor in inputs]
    if names != declared:
        raise ExportError(
            f"the ONNX model has the inputs {names}, not {declared}",
            "declare in model.inputs what the network uses, in the order of its forward()",
        )
    for value, tensor in zip(actual, inputs, strict=True):
        dtype = dtype_of(value, "input").name
        axes = axes_of(value)
        sizes = tuple(FREE if isinstance(axis, str) else axis for axis in axes[1:])
        if dtype != tensor.dtype or sizes != tensor.shape or not _is_batch(axes, batch):
            raise ExportError(
                f"the input {tensor.name} of the ONNX model is {dtype} {list(axes)}, "
                f"not {tensor.dtype} {[_shown(batch), *tensor.shape]}",
                "correct model.inputs",
            )


def _check_outputs(model: onnx.ModelProto, outputs: Sequence[str], batch: int | None) -> None:
    names = [value.name for value in model.graph.output]
    if names != list(outputs):
        raise ExportError(f"the ONNX model has the outputs {names}, not {list(outputs)}", "correct model.outputs")
    for value in model.graph.output:
        dtype = dtype_of(value, "output")
        if dtype.kind not in "biufc":
            raise ExportError(
                f"the output {value.name} of the ONNX model is of {'text' if dtype.kind == 'O' else dtype.name}, which "
                "numpy does not hold as numbers",
                "cast it in the model, or choose other model.outputs",
            )
        axes = axes_of(value)
        if not _is_batch(axes, batch):
            raise ExportError(
                f"the output {value.name} of the ONNX model is {list(axes)}; its first axis is not {_shown(batch)}",
                "set model.export.fixed_batch=true, or make the network keep its first axis for the batch",
            )


def fix_batch(model: onnx.ModelProto, batch: int) -> None:
    """Give the first axis of every input and output this size, unless it has one."""
    for value in (*inputs_of(model.graph), *model.graph.output):
        for axis in value.type.tensor_type.shape.dim[:1]:
            if not axis.HasField("dim_value"):
                axis.dim_value = batch


def dtype_of(value: onnx.ValueInfoProto, role: str) -> np.dtype[Any]:
    """Return the type of a tensor's elements; `role` is `input` or `output`, for the message.

    Raises:
        ExportError: it is no tensor, or one of an unknown type.
    """
    kind = value.type.WhichOneof("value") or "no type"
    try:
        dtype: np.dtype[Any] = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    except KeyError as error:
        shown = f"the unknown type {error}" if kind == "tensor_type" else f"{kind.replace('_', ' ')}, and no tensor"
        raise ExportError(
            f"the {role} {value.name} of the ONNX model is of {shown}", "export the model with tensors alone"
        ) from error
    return dtype


def axes_of(value: onnx.ValueInfoProto) -> tuple[Dimension, ...]:
    """Return the sizes of a tensor, or the names of its dynamic axes ("?" if they have none)."""
    return tuple(
        axis.dim_value if axis.HasField("dim_value") else axis.dim_param or "?"
        for axis in value.type.tensor_type.shape.dim
    )


def _is_batch(axes: tuple[Dimension, ...], batch: int | None) -> bool:
    return bool(axes) and (isinstance(axes[0], str) if batch is None else axes[0] == batch)


def _shown(batch: int | None) -> Dimension:
    return "batch" if batch is None else batch

"""Reading, writing, checking and running ONNX files."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from runner.core import FREE, ExportError, TensorSpec, check_regular, sha256_of
from runner.core.lazy import np, onnx, onnxruntime

MISTAKEN_OPTIMIZERS = ["Pad_Fusion"]
"""Disabled ONNX Runtime optimizers. Pad_Fusion merges a Pad into the following MaxPool whatever the padding value, but
MaxPool pads with minus infinity (seen in 1.31; github.com/onnx/optimizer/pull/318 is about the same bug elsewhere).
Pads before convolutions are merged by onnxsim."""

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
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # missing, truncated, or of another shape: a different exception class each
        raise ExportError(f"the weights of {path} cannot be read: {error}", "export it again") from error
    return model


def load_without_data(path: Path) -> onnx.ModelProto:
    """Read a model without its external weights.

    Raises:
        ExportError: it cannot be read, or refers to weights outside its own folder.
    """
    try:
        check_regular(path)
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # exceptions of protobuf and onnx have no common base class
        raise ExportError(f"{path} is no ONNX model: {error}", "export it again") from error
    check_weights_beside(model, path)
    return model


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
    beside = data_files(load_without_data(path))
    if beside:
        model = load(path)
        for name in beside:
            (path.parent / name).unlink()
        save(model, path)


def digest(path: Path) -> str:
    """Return the SHA-256 of a model's file, or of the digests of it and of the files with its weights."""
    names = [path.name, *data_files(load_without_data(path))]
    digests = [sha256_of(path.parent / name) for name in names]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def copy(path: Path, target: Path) -> None:
    """Copy a model and its weights, in the file or beside it."""
    if data_files(load_without_data(path)):
        save(load(path), target)
    else:
        shutil.copyfile(path, target)


@contextmanager
def for_libraries(model: onnx.ModelProto) -> Iterator[onnx.ModelProto | str]:
    """Yield a model as libraries take it: itself, or the path of a file if it is too large to be serialised."""
    if _weight_bytes(model) <= LARGEST_BYTES:
        yield model
        return
    with TemporaryDirectory(prefix="onnx-") as folder:
        path = Path(folder) / "model.onnx"
        save(model, path)
        yield str(path)


def _weight_bytes(model: onnx.ModelProto) -> int:
    return sum(len(tensor.raw_data) for tensor in _tensors(model) if tensor.HasField("raw_data"))


def check_weights_beside(model: onnx.ModelProto, path: Path) -> None:
    """Check that a model read from `path` has its weights in itself or in files below its own folder.

    Raises:
        ExportError: it refers to weights elsewhere.
    """
    folder = path.parent.resolve()
    for name, location in _data_locations(model):
        if not _is_inside(folder, location):
            raise ExportError(
                f"{path} wants the weights of {name!r} from {location!r}, which is not in its own folder",
                "put the file beside the model: onnx.save(model, path, save_as_external_data=True)",
            )


def data_files(model: onnx.ModelProto) -> list[str]:
    """Return the files beside the model that hold its weights."""
    return sorted({str(location) for _, location in _data_locations(model)})


def _data_locations(model: onnx.ModelProto) -> Iterator[tuple[str, str | bytes]]:
    """Yield each tensor that is in another file, with the file."""
    for tensor in _tensors(model):
        yield from ((tensor.name, entry.value) for entry in tensor.external_data if entry.key == "location")


def _is_inside(folder: Path, location: str | bytes) -> bool:
    """Return whether a relative path resolves to below `folder`; protobuf returns bytes for invalid UTF-8."""
    if isinstance(location, bytes):
        return False
    try:
        place = folder / location
        return not Path(location).is_absolute() and place.resolve().is_relative_to(folder) and place.resolve() != folder
    except (OSError, RuntimeError, ValueError):  # a name that is too long, a symlink loop, a NUL
        return False


def _tensors(message: Any) -> Iterator[Any]:
    """Yield every tensor in a model: weights and constants, including those of subgraphs and functions."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for submessage in (value,) if hasattr(value, "ListFields") else value:
                yield from _tensors(submessage)


def opset_of(model: onnx.ModelProto) -> int | None:
    """Return the opset version of a model for the default ONNX domain."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)


def inputs_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return the graph inputs that are not weights."""
    weights = {tensor.name for tensor in graph.initializer} | {each.values.name for each in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in weights]


def check(
    model: onnx.ModelProto, inputs: Sequence[TensorSpec], outputs: Sequence[str], opset: int, batch: int | None
) -> None:
    """Check a model against its declaration; `batch` is None for a dynamic batch axis.

    Raises:
        ExportError: the model is invalid, or its opset, names, shapes or types differ.
    """
    try:
        with for_libraries(model) as source:
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
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
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


def outputs_of(path: Path, names: Sequence[str], probes: Sequence[Mapping[str, np.ndarray]]) -> tuple[TensorSpec, ...]:
    """Return the outputs that ONNX Runtime computes from each of the inputs [batch, ...] in `probes`.

    This reveals sizes that are hard-coded in the graph. Axes that differ between the probes are FREE.

    Raises:
        ExportError: the model cannot be run, or an output's first axis is not the batch.
    """
    batch = len(next(iter(probes[0].values())))
    specs = []
    loaded = session(path, probes[0])
    for name, arrays in zip(names, zip(*map(loaded, probes), strict=True), strict=True):
        shapes = [array.shape for array in arrays]
        if any(len(shape) == 0 or shape[0] != batch or len(shape) != len(shapes[0]) for shape in shapes):
            raise ExportError(
                f"for {batch} samples the output {name} of the ONNX model is {list(shapes[-1])}",
                "set model.export.fixed_batch=true, or make the network keep its first axis for the batch",
            )
        common = [axis[0] if len(set(axis)) == 1 else FREE for axis in zip(*shapes, strict=True)]
        specs.append(TensorSpec(name, str(arrays[0].dtype), tuple(common[1:])))
    return tuple(specs)


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


Run = Callable[[Mapping[str, "np.ndarray"]], "list[np.ndarray]"]
"""Inputs by name -> outputs in order."""


def run(model: onnx.ModelProto | Path, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Run a model once, as `session` does.

    Raises:
        ExportError: ONNX Runtime rejects the model or the inputs.
    """
    return session(model, feeds)(feeds)


def session(model: onnx.ModelProto | Path, feeds: Mapping[str, np.ndarray] | None = None) -> Run:
    """Load a model in ONNX Runtime on the CPU without optimisations; return what runs it.

    It raises ExportError where ONNX Runtime rejects the inputs.

    Raises:
        ExportError: ONNX Runtime rejects the model; `feeds` are named then.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    if isinstance(model, Path):
        load_without_data(model)  # checks the weights' location; ONNX Runtime would read any file
    opened = nullcontext(str(model)) if isinstance(model, Path) else for_libraries(model)
    with opened as given, _as_export_error(feeds or {}):
        source = given if isinstance(given, str) else given.SerializeToString()
        loaded = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def run_it(given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        with _as_export_error(given):
            return list(loaded.run(None, dict(given)))

    return run_it


@contextmanager
def _as_export_error(feeds: Mapping[str, np.ndarray]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the binding has an exception class for each status, without a common base
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feeds.items())
        raise ExportError(
            f"ONNX Runtime cannot run the ONNX model on {shapes}: {error}",
            "set model.export.fixed_batch=true if it runs with another batch size, or try another model.export.opset",
        ) from error

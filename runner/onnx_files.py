"""What an ONNX file promises, and what it computes: read, check, run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.artifacts import TensorSpec
from runner.errors import ExportError

if TYPE_CHECKING:
    import numpy as np
    import onnx

MISTAKEN_OPTIMIZERS = ["Pad_Fusion"]
"""What of ONNX Runtime is left out. It merges a Pad into the MaxPool behind it whatever the Pad pads with, and MaxPool
pads with minus infinity (seen in 1.31; github.com/onnx/optimizer/pull/318 is about the same mistake elsewhere). Pads in
front of convolutions are merged by simplifying."""

Dimension = int | str
"""A number, or the name of a free axis."""


def load(path: Path) -> onnx.ModelProto:
    """Read a model, and those of its weights that lie in files beside it.

    Raises:
        ExportError: it cannot be read, or wants its weights from a file that is not in its own folder.
    """
    import onnx

    model = load_without_data(path)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # missing, too short, or at odds with the declared shape: each a class of its own
        raise ExportError(f"the weights of {path} cannot be read: {error}", "export it again") from error
    return model


def load_without_data(path: Path) -> onnx.ModelProto:
    """Read a model without the weights that lie in other files.

    Raises:
        ExportError: it cannot be read, or wants its weights from a file that is not in its own folder.
    """
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's and onnx's own share no base class
        raise ExportError(f"{path} is no ONNX model: {error}", "export it again") from error
    check_weights_beside(model, path)
    return model


def check_weights_beside(model: onnx.ModelProto, path: Path) -> None:
    """See that what was read from `path` has its weights in itself, or in files below its own folder.

    Raises:
        ExportError: it wants some from elsewhere.
    """
    folder = path.parent.resolve()
    for tensor in _tensors(model):
        for location in (entry.value for entry in tensor.external_data if entry.key == "location"):
            if not _is_inside(folder, location):
                raise ExportError(
                    f"{path} wants the weights of {tensor.name!r} from {location!r}, which is not in its own folder",
                    "put the file beside the model: onnx.save(model, path, save_as_external_data=True)",
                )


def _is_inside(folder: Path, location: str | bytes) -> bool:
    """Whether a relative path leads to a place below `folder`, links followed; protobuf gives bytes for bad UTF-8."""
    if isinstance(location, bytes):
        return False
    try:
        place = folder / location
        return not Path(location).is_absolute() and place.resolve().is_relative_to(folder) and place.resolve() != folder
    except (OSError, RuntimeError, ValueError):  # a name too long, a link to itself, a NUL
        return False


def _tensors(message: Any) -> Iterator[Any]:
    """Every tensor in a model: weights, constants, those of subgraphs and functions."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in (value,) if hasattr(value, "ListFields") else value:
                yield from _tensors(part)


def check(
    model: onnx.ModelProto, inputs: Sequence[TensorSpec], outputs: Sequence[str], opset: int, batch: int | None
) -> None:
    """Check a model against what it was declared to be; `batch` is None for a free batch axis.

    Raises:
        ExportError: the model is invalid, or another opset, other names, shapes or types came out.
    """
    import onnx

    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"the ONNX model is invalid: {error}", "try another model.export.opset") from error
    found_opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    if found_opset != opset:
        raise ExportError(f"the ONNX model has opset {found_opset}, not {opset}", "try another model.export.opset")
    _check_inputs(model, inputs, batch)
    _check_outputs(model, outputs, batch)


def _check_inputs(model: onnx.ModelProto, inputs: Sequence[TensorSpec], batch: int | None) -> None:
    import onnx

    weights = {initializer.name for initializer in model.graph.initializer}
    found = [value for value in model.graph.input if value.name not in weights]
    names, declared = [value.name for value in found], [tensor.name for tensor in inputs]
    if names != declared:
        raise ExportError(
            f"the ONNX model has the inputs {names}, not {declared}",
            "declare in model.inputs what the network uses, in the order of its forward()",
        )
    for value, tensor in zip(found, inputs, strict=True):
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
        axes = _axes(value)
        if dtype != tensor.dtype or axes[1:] != tensor.shape or not _is_batch(axes, batch):
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
        axes = _axes(value)
        if not _is_batch(axes, batch):
            raise ExportError(
                f"the output {value.name} of the ONNX model is {list(axes)}; its first axis is not {_shown(batch)}",
                "set model.export.fixed_batch=true, or make the network keep its first axis for the batch",
            )


def _axes(value: onnx.ValueInfoProto) -> tuple[Dimension, ...]:
    return tuple(
        axis.dim_value if axis.HasField("dim_value") else axis.dim_param or "?"
        for axis in value.type.tensor_type.shape.dim
    )


def _is_batch(axes: tuple[Dimension, ...], batch: int | None) -> bool:
    return bool(axes) and (isinstance(axes[0], str) if batch is None else axes[0] == batch)


def _shown(batch: int | None) -> Dimension:
    return "batch" if batch is None else batch


def run(model: onnx.ModelProto | Path, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a model in ONNX Runtime on the CPU, in order; its own optimisations are off.

    Raises:
        ExportError: ONNX Runtime refuses the model or the inputs.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    if isinstance(model, Path):
        load_without_data(model)  # ONNX Runtime would follow it anywhere
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        return list(session.run(None, dict(feeds)))
    except Exception as error:  # the binding raises a class of its own for each status, with no base in common
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feeds.items())
        raise ExportError(
            f"ONNX Runtime cannot run the ONNX model on {shapes}: {error}",
            "set model.export.fixed_batch=true if it runs with another batch size, or try another model.export.opset",
        ) from error

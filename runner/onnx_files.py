"""What an ONNX file promises, and what it computes: read, check, run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.artifacts import TensorSpec
from runner.errors import ExportError

if TYPE_CHECKING:
    import numpy as np
    import onnx

Dimension = int | str
"""A number, or the name of a free axis."""


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


def random_feeds(inputs: Sequence[TensorSpec], count: int) -> dict[str, np.ndarray]:
    """`count` seeded random samples for each input: N(0, 1), or 0..127 where the type is whole."""
    import numpy as np

    generator = np.random.default_rng(0)
    feeds = {}
    for tensor in inputs:
        shape = (count, *tensor.shape)
        whole = np.issubdtype(np.dtype(tensor.dtype), np.integer)
        values = generator.integers(0, 128, shape) if whole else generator.standard_normal(shape)
        feeds[tensor.name] = values.astype(tensor.dtype)
    return feeds


def run(model: onnx.ModelProto | Path, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a model in ONNX Runtime on the CPU, in order; its own optimisations are off.

    Raises:
        ExportError: ONNX Runtime refuses the model or the inputs.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
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

"""Stage `export` of an ONNX model from outside: checked, fitted to its declaration, and cut at its outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from runner.core import ExportError, OnnxModel, TensorSpec, Weights
from runner.core.lazy import np, onnx
from runner.data import random_inputs
from runner.graph import batch_axis, cutting, onnx_files, running
from runner.stages.verified_onnx import verified_onnx

_SMALL_BYTES = 1024
"""Size of a tensor whose values may be sizes, from which the shapes of others are inferred."""


@dataclass(frozen=True)
class ImportSpec:
    """The declared inputs and outputs; `batch` is None for a dynamic batch axis."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    batch: int | None


def import_onnx(spec: ImportSpec, weights: Weights, out: Path) -> OnnxModel:
    """Write the part of the file that computes the declared outputs to `out`/model.onnx, checked as an export is.

    With a batch of 1, outputs without a batch axis get one, of size 1.

    Raises:
        ExportError: the file is no usable model, or does not fit its declaration.
    """
    path = out / "model.onnx"
    model = fitted(spec, weights.path)
    onnx_files.load_data(model, weights.path)
    if spec.batch == 1:
        batch_axis.add(model, _axes_of_outputs_without_batch(spec, model))
    onnx_files.save(model, path)
    opset = onnx_files.opset_of(model) or 0
    try:
        verified = verified_onnx(path, spec.inputs, spec.outputs, opset, spec.batch)
    except ExportError as error:
        raise ExportError(f"{weights.path}: {error.message}", error.fix) from error
    return replace(verified, metadata={entry.key: entry.value for entry in model.metadata_props})


def _axes_of_outputs_without_batch(spec: ImportSpec, model: onnx.ModelProto) -> dict[str, int]:
    """Return the number of axes of the outputs whose first axis is not always 1 for one sample.

    Two samples are tried, of opposite numbers: where the axis counts what was found, it may be 1 for one of them.
    """
    values = random_inputs.batch_of(spec.inputs, 1)
    opposite = {name: np.negative(array) if array.dtype.kind == "f" else array for name, array in values.items()}
    run = running.session(model, values)
    results = [dict(zip(spec.outputs, run(feeds), strict=True)) for feeds in (values, opposite)]
    return {name: array.ndim for each in results for name, array in each.items() if array.shape[:1] != (1,)}


def fitted(spec: ImportSpec, path: Path) -> onnx.ModelProto:
    """Return the part of an ONNX file that computes the declared outputs from the declared inputs.

    Large weights in files beside it are not read.

    Raises:
        ExportError: the file is no model, has its weights elsewhere, or does not fit its declaration.
    """
    model = onnx_files.load_without_data(path)
    onnx_files.load_data(model, path, _SMALL_BYTES)
    return cutting.cut(model, spec.inputs, spec.outputs, spec.batch)

"""Stage `export` of an ONNX model from outside: checked, fitted to its declaration, and cut at its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.core import ExportError, OnnxModel, TensorSpec, Weights
from runner.core.lazy import onnx
from runner.data import random_inputs
from runner.graph import cutting, external_data, onnx_files, running

_PROBE_BATCH = 2
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

    Raises:
        ExportError: the file is no usable model, or does not fit its declaration.
    """
    path = out / "model.onnx"
    model = fitted(spec, weights.path)
    onnx_files.load_data(model, weights.path)
    onnx_files.save(model, path)
    opset = onnx_files.opset_of(model) or 0
    onnx_files.check(path, spec.inputs, spec.outputs, opset, spec.batch)
    probes = random_inputs.probes(spec.inputs, spec.batch or _PROBE_BATCH)
    try:
        outputs = running.outputs_of(path, spec.outputs, probes)
    except ExportError as error:
        raise ExportError(f"{weights.path}: {error.message}", error.fix) from error
    return OnnxModel(
        path=path,
        sha256=external_data.digest(path),
        opset=opset,
        batch=spec.batch,
        inputs=spec.inputs,
        outputs=outputs,
        metadata={entry.key: entry.value for entry in model.metadata_props},
    )


def fitted(spec: ImportSpec, path: Path) -> onnx.ModelProto:
    """Return the part of an ONNX file that computes the declared outputs from the declared inputs.

    Large weights in files beside it are not read.

    Raises:
        ExportError: the file is no model, has its weights elsewhere, or does not fit its declaration.
    """
    model = onnx_files.load_without_data(path)
    onnx_files.load_data(model, path, _SMALL_BYTES)
    return cutting.cut(model, spec.inputs, spec.outputs, spec.batch)

"""The model as the tool loads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.artifacts import CompiledModel, OnnxModel
from runner.errors import ExportError


@dataclass(frozen=True)
class CompileSpec:
    soc: str
    batch: int


def compile(spec: CompileSpec, model: OnnxModel, out: Path) -> CompiledModel:
    """Take the ONNX model itself, for tools that load ONNX.

    Raises:
        ExportError: the model is fixed to another batch.
    """
    if model.batch not in (None, spec.batch):
        raise ExportError(
            f"{model.path} is fixed to batch {model.batch}, the run asks for {spec.batch}",
            "a model with a fixed batch is exported anew for each: force=[export,simplify]",
        )
    return CompiledModel(model.path, model.sha256, spec.soc, spec.batch, model.inputs, model.outputs)

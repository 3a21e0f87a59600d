"""The model as the tool loads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import targets
from runner.artifacts import CompiledModel, OnnxModel, TensorSpec
from runner.compilers import Compiler, CompileRequest
from runner.errors import ExportError
from runner.hashing import sha256_of
from runner.preprocess import Normalisation
from runner.targets import Target
from runner.tools import Placement


@dataclass(frozen=True)
class CompileSpec:
    """`compiler` is None for a tool that loads ONNX itself; the rest is runner.compilers.CompileRequest's."""

    compiler: Target | None
    compiler_version: str
    placement: Placement
    batch: int
    flags: dict[str, Any]
    aipp: Normalisation | None


def compile(spec: CompileSpec, model: OnnxModel, out: Path) -> CompiledModel:
    """Compile the model for the SoC and the batch, or take the ONNX model itself.

    Raises:
        ExportError: the model is fixed to another batch.
        ToolError: the compiler fails.
    """
    if model.batch not in (None, spec.batch):
        raise ExportError(
            f"{model.path} is fixed to batch {model.batch}, the run asks for {spec.batch}",
            "a model with a fixed batch is exported anew for each: force=[export,simplify]",
        )
    soc = spec.placement.soc
    if spec.compiler is None:
        return CompiledModel(model.path, model.sha256, soc, spec.batch, model.inputs, model.outputs)
    compiler: Compiler = targets.call(spec.compiler)
    request = CompileRequest(
        model.path, model.inputs, spec.batch, model.batch is not None, spec.placement, spec.flags, spec.aipp
    )
    path = compiler.compile(request, out / "model")
    argv = compiler.commands(request, out / "model")[-1]
    inputs = model.inputs if spec.aipp is None else tuple(map(_as_picture, model.inputs))
    return CompiledModel(path, sha256_of(path), soc, spec.batch, inputs, model.outputs, argv)


def _as_picture(tensor: TensorSpec) -> TensorSpec:
    """What AIPP takes in the place of a normalised [C, H, W]."""
    channels, height, width = tensor.shape
    return TensorSpec(tensor.name, "uint8", (height, width, channels))

"""Stage `compile`: convert the ONNX model to the file that the tool loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.config import targets
from runner.config.targets import Target
from runner.core import CompiledModel, ExportError, OnnxModel, Placement, TensorSpec, sha256_of
from runner.data import Normalisation
from runner.tools import Compiler, CompileRequest


@dataclass(frozen=True, kw_only=True)
class CompileSpec:
    """`compiler` is None for a tool that loads ONNX itself; other fields as in runner.tools.CompileRequest."""

    compiler: Target | None
    compiler_version: str
    placement: Placement
    batch: int
    flags: dict[str, Any]
    aipp: Normalisation | None


def compile(spec: CompileSpec, model: OnnxModel, out: Path) -> CompiledModel:
    """Compile the model for the SoC and the batch size, or use the ONNX model itself.

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
        return CompiledModel(
            path=model.path,
            sha256=model.sha256,
            soc=soc,
            batch=spec.batch,
            inputs=model.inputs,
            outputs=model.outputs,
        )
    compiler: Compiler = targets.call(spec.compiler)
    request = CompileRequest(
        model=model.path,
        inputs=model.inputs,
        batch=spec.batch,
        fixed_batch=model.batch is not None,
        placement=spec.placement,
        flags=spec.flags,
        aipp=spec.aipp,
    )
    path = compiler.compile(request, out / "model")
    argv = compiler.commands(request, out / "model")[-1]
    inputs = model.inputs if spec.aipp is None else tuple(map(_as_picture, model.inputs))
    return CompiledModel(
        path=path,
        sha256=sha256_of(path),
        soc=soc,
        batch=spec.batch,
        inputs=inputs,
        outputs=model.outputs,
        argv=argv,
    )


def _as_picture(tensor: TensorSpec) -> TensorSpec:
    """Return the input that AIPP takes instead of a normalised [C, H, W]."""
    channels, height, width = tensor.shape
    return TensorSpec(tensor.name, "uint8", (height, width, channels))

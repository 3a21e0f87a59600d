"""Stage `compile`: convert the ONNX model to the file that the tool loads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.config import hooks, targets
from runner.config.callables import Target
from runner.core import CompiledModel, ExportError, Gear, OnnxModel, Placement, Samples, TensorSpec, sha256_of
from runner.data import Normalisation, batches, random_inputs
from runner.graph import running
from runner.tools import Compiler, CompileRequest


@dataclass(frozen=True, kw_only=True)
class CompileSpec:
    """`compiler` is None for a tool that loads ONNX itself; other fields as in runner.tools.CompileRequest.

    With `batches`, nothing here tells which of them the run has, so that the runs of a sweep share one model.
    """

    compiler: Target | None
    compiler_version: str
    placement: Placement
    batch: int
    flags: dict[str, Any]
    aipp: Normalisation | None
    batches: tuple[int, ...] = ()
    is_range: bool = False


def compile(spec: CompileSpec, model: OnnxModel, samples: Samples | None = None, *, out: Path) -> CompiledModel:
    """Compile the model for the SoC and the batch size, or use the ONNX model itself.

    A model with inputs of free sizes is compiled for the shapes that the samples have, and with `spec.batches` for all
    of them.

    Raises:
        ExportError: the model is fixed to another batch.
        ToolError: the compiler fails.
    """
    if model.batch is not None and (model.batch != spec.batch or spec.batches):
        raise ExportError(
            f"{model.path} is fixed to batch {model.batch}, the run asks for {_listed(spec.batches or [spec.batch])}",
            "a model with a fixed batch is exported anew for each: force=[export,simplify]",
        )
    uncompiled = CompiledModel(
        path=model.path,
        sha256=model.sha256,
        soc=spec.placement.soc,
        batch=spec.batch,
        inputs=model.inputs,
        outputs=model.outputs,
    )
    if spec.compiler is None:
        return uncompiled
    compiler: Compiler = targets.call(spec.compiler)
    gears = () if samples is None else _gears(model, spec.batch, samples)
    request = _request(spec, model, gears)
    path: Path = hooks.checked(compiler.compile(request, out / "model"), Path, compiler.compile)
    return replace(
        uncompiled,
        path=path,
        sha256=sha256_of(path),
        inputs=request.inputs if spec.aipp is None else tuple(map(as_picture, model.inputs)),
        outputs=gears[0].outputs if len(gears) == 1 else model.outputs,
        argv=compiler.commands(request, out / "model")[-1],
        gears=gears if len(gears) > 1 else (),
        batches=spec.batches,
        is_range=request.is_range,
    )


def _request(spec: CompileSpec, model: OnnxModel, gears: Sequence[Gear]) -> CompileRequest:
    """Return the request to compile a model for the shapes of `gears`; for its own, if there are none."""
    several = tuple(gear.inputs for gear in gears) if len(gears) > 1 else ()
    return CompileRequest(
        model=model.path,
        inputs=gears[0].inputs if len(gears) == 1 else model.inputs,
        batch=spec.batch,
        is_static=model.batch is not None and not any(tensor.is_free for tensor in model.inputs),
        placement=spec.placement,
        flags=spec.flags,
        aipp=spec.aipp,
        gears=several,
        batches=spec.batches,
        is_range=spec.is_range and bool(several or spec.batches),
    )


def _gears(model: OnnxModel, batch: int, samples: Samples) -> tuple[Gear, ...]:
    """Return the shapes of the samples, the most common first, with the outputs' shapes, which ONNX Runtime tells."""
    gears = []
    names = [tensor.name for tensor in model.outputs]
    for shapes, _ in Counter(batches.shapes_of(samples)).most_common():
        inputs = tuple(tensor.at(shape) for tensor, shape in zip(model.inputs, shapes, strict=True))
        rows = batch if model.batch is not None else 1
        gears.append(Gear(inputs, running.outputs_of(model.path, names, [random_inputs.batch_of(inputs, rows)])))
    return tuple(gears)


def _listed(batches: Sequence[int]) -> str:
    return ", ".join(map(str, batches))


def as_picture(tensor: TensorSpec) -> TensorSpec:
    """Return the input that AIPP takes instead of a normalised [C, H, W]."""
    channels, height, width = tensor.shape
    return TensorSpec(tensor.name, "uint8", (height, width, channels))

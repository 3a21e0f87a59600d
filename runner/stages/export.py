"""Stage `export`: convert a PyTorch network to an ONNX model."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

from runner.config import hooks
from runner.core import FREE, ExportError, OnnxModel, RunnerError, Weights
from runner.core.lazy import torch
from runner.data import random_inputs
from runner.graph import export_patches, onnx_files
from runner.networks import NetworkSpec, build_network, named_outputs
from runner.stages.verified_onnx import verified_onnx

log = logging.getLogger(__name__)

OPSETS = range(7, 21)
"""Opsets of torch's TorchScript exporter; its other exporter does not support 11, which ATC reads."""
NEWEST_FOR_ATC = 13


@dataclass(frozen=True)
class ExportSpec:
    """`outputs` are the names for the network's outputs, in order; `batch` is None for a dynamic batch axis."""

    network: NetworkSpec
    outputs: tuple[str, ...]
    opset: int
    batch: int | None


def export(spec: ExportSpec, weights: Weights, out: Path) -> OnnxModel:
    """Write `out`/model.onnx and check its opset, names, shapes, and that a dynamic batch axis works.

    Raises:
        ExportError: torch cannot export the network, or the model differs from its declaration.
        CheckpointError, ConfigError: the network cannot be built (runner.networks.build_network).
    """
    if spec.opset not in OPSETS:
        raise ExportError(
            f"model.export.opset is {spec.opset}, which torch does not export",
            f"set model.export.opset to {OPSETS[0]}..{OPSETS[-1]}; ATC reads 8..13",
        )
    path = out / "model.onnx"
    _write(build_network(spec.network, weights), spec, path)
    return verified_onnx(path, spec.network.inputs, spec.outputs, spec.opset, spec.batch)


def _write(network: torch.nn.Module, spec: ExportSpec, path: Path) -> None:
    tensors = spec.network.inputs
    names = [tensor.name for tensor in tensors]
    inputs = tuple(
        torch.zeros(spec.batch or 1, *random_inputs.example(tensor).shape, dtype=getattr(torch, tensor.dtype))
        for tensor in tensors
    )
    network.register_forward_hook(lambda _, __, result: tuple(named_outputs(result, spec.outputs).values()))
    try:
        with torch.no_grad(), export_patches(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.onnx.export(
                network,
                inputs,
                str(path),  # beside a Path, torch writes no weights, of which a file holds 2 GiB
                dynamo=False,
                opset_version=spec.opset,
                input_names=names,
                output_names=list(spec.outputs),
                dynamic_axes=_dynamic_axes(spec),
                do_constant_folding=True,
            )
    except (RunnerError, MemoryError):
        raise
    except Exception as error:  # a network's code may raise anything
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in zip(names, inputs, strict=True))
        raise ExportError(
            f"torch cannot export {spec.network.target.name} with the inputs {shapes}: {hooks.told(error)}",
            _remedy(spec.opset, str(error)),
        ) from error
    onnx_files.gather_data(path)
    if spec.batch is not None and any(tensor.is_free for tensor in tensors):
        model = onnx_files.load(path)
        onnx_files.fix_batch(model, spec.batch)  # which torch does not know of outputs whose sizes are free
        onnx_files.save(model, path)
    for warning in caught:
        log.debug("%s: %s", warning.category.__name__, warning.message)


def _dynamic_axes(spec: ExportSpec) -> dict[str, dict[int, str]]:
    """Return the names of the axes that keep no fixed size, by input and output."""
    tensors = spec.network.inputs
    names = (*(tensor.name for tensor in tensors), *spec.outputs)
    axes: dict[str, dict[int, str]] = {} if spec.batch is not None else {name: {0: "batch"} for name in names}
    for tensor in tensors:
        free = {axis: f"{tensor.name}_{axis}" for axis, size in enumerate(tensor.shape, 1) if size == FREE}
        axes.setdefault(tensor.name, {}).update(free)
    return axes


def _remedy(opset: int, complaint: str) -> str:
    if opset < NEWEST_FOR_ATC and "opset" in complaint:
        return f"set model.export.opset={NEWEST_FOR_ATC}, the newest that ATC reads: it has more operators than {opset}"
    return "correct model.inputs, or the arguments in model.network, or try another model.export.opset"

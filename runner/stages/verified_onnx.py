"""The ONNX model that stage `export` leaves, whether it comes from PyTorch or from outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.core import OnnxModel, TensorSpec
from runner.data import random_inputs
from runner.graph import external_data, onnx_files, running

_PROBE_BATCH = 2


def verified_onnx(
    path: Path, inputs: tuple[TensorSpec, ...], outputs: Sequence[str], opset: int, batch: int | None
) -> OnnxModel:
    """Return the model in a file after checking it against its declaration; `batch` is None for a dynamic batch axis.

    Its outputs are as ONNX Runtime computes them, which reveals sizes that are hard-coded in the graph.

    Raises:
        ExportError: the model is invalid, differs from its declaration, or does not run.
    """
    onnx_files.check(path, inputs, outputs, opset, batch)
    computed = running.outputs_of(path, outputs, random_inputs.probes(inputs, batch or _PROBE_BATCH))
    return OnnxModel(
        path=path,
        sha256=external_data.digest(path),
        opset=opset,
        batch=batch,
        inputs=inputs,
        outputs=computed,
    )

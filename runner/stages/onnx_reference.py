"""Stage `reference` of an ONNX model from outside: the same samples through ONNX Runtime without optimisation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.core import DataError, ExportError, OnnxModel, Predictions, Samples
from runner.core.lazy import NDArray
from runner.data import Batch
from runner.graph import running
from runner.stages.reference import ComputedSpec, write_outputs


def onnx_reference(spec: ComputedSpec, model: OnnxModel, samples: Samples, out: Path) -> Predictions:
    """Write the outputs of the chosen samples, in order, to `out`/predictions.npz.

    Raises:
        DataError: the model rejects a sample.
    """
    session = running.session(model.path)

    def run(batch: Batch) -> dict[str, NDArray[Any]]:
        try:
            return dict(zip(spec.outputs, session(batch.inputs), strict=True))
        except ExportError as error:
            raise DataError(
                f"the ONNX model cannot take the samples {', '.join(batch.ids)}: {error.message}",
                "choose a dataset= that fits the model, or correct model.inputs",
            ) from error

    return write_outputs(spec, samples, run, spec.batch or model.batch, out)

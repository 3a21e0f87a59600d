"""Stage `reference` of an ONNX model from outside: the same samples through ONNX Runtime without optimisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import DataError, ExportError, OnnxModel, Predictions, Samples, track
from runner.core.lazy import NDArray
from runner.data import Normalisation, batches, predictions, rows
from runner.data.selection import chosen_rows
from runner.graph import onnx_files
from runner.stages.reference import BATCH


@dataclass(frozen=True, kw_only=True)
class OnnxReferenceSpec:
    """As runner.stages.reference.ReferenceSpec, without a network."""

    outputs: tuple[str, ...]
    normalisation: Normalisation
    samples: int | None
    batch: int | None = None


def onnx_reference(spec: OnnxReferenceSpec, model: OnnxModel, samples: Samples, out: Path) -> Predictions:
    """Write the outputs of the chosen samples, in order, to `out`/predictions.npz.

    Raises:
        DataError: the model rejects a sample.
    """
    chosen = chosen_rows(samples, spec.samples, spec.batch)
    ids = [row.id for row in rows.read(samples.path, chosen)]
    return predictions.write(out / "predictions.npz", spec.outputs, ids, _outputs(spec, model, samples, chosen))


def _outputs(
    spec: OnnxReferenceSpec, model: OnnxModel, samples: Samples, chosen: list[int]
) -> Iterator[dict[str, NDArray[Any]]]:
    run = onnx_files.session(model.path)
    with track("reference", len(chosen), "samples") as advance:
        fixed = spec.batch or model.batch
        fed = batches.iterate(samples, spec.normalisation, fixed or BATCH, chosen, padded=fixed is not None)
        for batch in fed:
            try:
                outputs = run(batch.inputs)
            except ExportError as error:
                raise DataError(
                    f"the ONNX model cannot take the samples {', '.join(batch.ids)}: {error.message}",
                    "choose a dataset= that fits the model, or correct model.inputs",
                ) from error
            yield {name: array[: len(batch.ids)] for name, array in zip(spec.outputs, outputs, strict=True)}
            advance(len(batch.ids))

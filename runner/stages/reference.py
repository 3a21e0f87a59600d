"""Stage `reference`: the same samples through PyTorch in float32, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import DataError, Predictions, Samples, Weights, track
from runner.core.lazy import NDArray, torch
from runner.data import Normalisation, batches, predictions, rows
from runner.data.selection import chosen_rows
from runner.networks import NetworkSpec, build_network, named_outputs

BATCH = 8
"""Small enough for PNASNet's activations to fit in 2 GB."""


@dataclass(frozen=True, kw_only=True)
class ReferenceSpec:
    """`samples` is the number of evenly spaced samples to compute; None for all.

    `batch` is the batch size of the run for a model whose outputs depend on the batch: then whole batches are computed,
    with the same samples together and the same padding. None for others.
    """

    network: NetworkSpec
    outputs: tuple[str, ...]
    normalisation: Normalisation
    samples: int | None
    batch: int | None = None


def reference(spec: ReferenceSpec, weights: Weights, samples: Samples, out: Path) -> Predictions:
    """Write the outputs of the chosen samples, in order, to `out`/predictions.npz.

    Raises:
        DataError: the network rejects a sample. ExportError: its result does not match its declared outputs.
    """
    chosen = chosen_rows(samples, spec.samples, spec.batch)
    ids = [row.id for row in rows.read(samples.path, chosen)]
    outputs = _outputs(spec, weights, samples, chosen)
    return predictions.write(out / "predictions.npz", spec.outputs, ids, outputs)


def _outputs(
    spec: ReferenceSpec, weights: Weights, samples: Samples, chosen: list[int]
) -> Iterator[dict[str, NDArray[Any]]]:
    network = build_network(spec.network, weights)
    with torch.no_grad(), track("reference", len(chosen), "samples") as advance:
        fed = batches.iterate(samples, spec.normalisation, spec.batch or BATCH, chosen, padded=spec.batch is not None)
        for batch in fed:
            inputs = [torch.from_numpy(batch.inputs[tensor.name]) for tensor in spec.network.inputs]
            try:
                result = network(*inputs)
            except (AssertionError, LookupError, TypeError, ValueError) as error:
                raise DataError(
                    f"{spec.network.target.name} cannot take the samples {', '.join(batch.ids)}: {error}",
                    "choose a dataset= that fits the model, or correct model.inputs",
                ) from error
            outputs = named_outputs(result, spec.outputs)
            yield {name: tensor.numpy()[: len(batch.ids)] for name, tensor in outputs.items()}
            advance(len(batch.ids))

"""The same samples through PyTorch in float32, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner import batches, networks, predictions
from runner.artifacts import Predictions, Samples, Weights
from runner.errors import DataError
from runner.networks import NetworkSpec
from runner.preprocess import Normalisation
from runner.progress import track

BATCH = 8
"""Small enough for PNASNet's activations in 2 GB."""


@dataclass(frozen=True)
class ReferenceSpec:
    """`samples` is how many, spread evenly over the data set, are computed; None for all."""

    network: NetworkSpec
    outputs: tuple[str, ...]
    normalisation: Normalisation
    samples: int | None


def reference(spec: ReferenceSpec, weights: Weights, samples: Samples, out: Path) -> Predictions:
    """Outputs of the chosen samples, in order, in `out`/predictions.npz.

    Raises:
        DataError: the network cannot take a sample. ExportError: it returns something else than its outputs.
    """
    chosen = spread(samples.count, spec.samples)
    ids = [samples.ids[index] for index in chosen]
    outputs = _outputs(spec, weights, samples, chosen)
    return predictions.write(out / "predictions.npz", spec.outputs, ids, outputs)


def spread(count: int, wanted: int | None) -> list[int]:
    """`wanted` indices spread evenly over range(count), ascending; all of them for None."""
    if wanted is None or wanted >= count:
        return list(range(count))
    return [int(index) for index in np.linspace(0, count - 1, wanted).round()]


def _outputs(
    spec: ReferenceSpec, weights: Weights, samples: Samples, chosen: list[int]
) -> Iterator[dict[str, NDArray[Any]]]:
    import torch

    network = networks.build(spec.network, weights)
    with torch.no_grad(), track("reference", len(chosen), "samples") as advance:
        for batch in batches.iterate(samples, spec.normalisation, BATCH, chosen):
            inputs = [torch.from_numpy(batch.inputs[tensor.name]) for tensor in spec.network.inputs]
            try:
                result = network(*inputs)
            except (AssertionError, LookupError, TypeError, ValueError) as error:
                raise DataError(
                    f"{spec.network.target.name} cannot take the samples {', '.join(batch.ids)}: {error}",
                    "choose a dataset= that fits the model, or correct model.inputs",
                ) from error
            yield {name: tensor.numpy() for name, tensor in networks.named_outputs(result, spec.outputs).items()}
            advance(len(batch.ids))

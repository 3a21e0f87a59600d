"""Stage `reference`: the same samples through PyTorch in float32, on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.config import hooks
from runner.core import DataError, Predictions, RunnerError, Samples, Weights, track
from runner.core.lazy import NDArray, torch
from runner.data import Batch, Normalisation, batches, predictions, rows
from runner.data.selection import chosen_rows
from runner.networks import NetworkSpec, build_network, named_outputs

BATCH = 8
"""Small enough for PNASNet's activations to fit in 2 GB."""


@dataclass(frozen=True, kw_only=True)
class ComputedSpec:
    """What is computed: `samples` is the number of evenly spaced samples; None for all.

    `batch` is the batch size of the run for a model whose outputs depend on the batch: then whole batches are computed,
    with the same samples together and the same padding. None for others.
    """

    outputs: tuple[str, ...]
    normalisation: Normalisation
    samples: int | None
    batch: int | None = None


@dataclass(frozen=True, kw_only=True)
class ReferenceSpec(ComputedSpec):
    """What `network` computes."""

    network: NetworkSpec


def reference(spec: ReferenceSpec, weights: Weights, samples: Samples, out: Path) -> Predictions:
    """Write the outputs of the chosen samples, in order, to `out`/predictions.npz.

    Raises:
        DataError: the network rejects a sample. ExportError: its result does not match its declared outputs.
    """
    network = build_network(spec.network, weights)

    def run(batch: Batch) -> dict[str, NDArray[Any]]:
        inputs = [torch.from_numpy(batch.inputs[tensor.name]) for tensor in spec.network.inputs]
        try:
            result = network(*inputs)
        except (RunnerError, MemoryError):
            raise
        except Exception as error:  # a network's code may raise anything
            raise DataError(
                f"{spec.network.target.name} cannot take the samples {', '.join(batch.ids)}: {hooks.told(error)}",
                "choose a dataset= that fits the model, or correct model.inputs",
            ) from error
        return {name: tensor.numpy() for name, tensor in named_outputs(result, spec.outputs).items()}

    with torch.no_grad():
        return write_outputs(spec, samples, run, spec.batch, out)


def write_outputs(
    spec: ComputedSpec,
    samples: Samples,
    run: Callable[[Batch], Mapping[str, NDArray[Any]]],
    fixed_batch: int | None,
    out: Path,
) -> Predictions:
    """Write what `run` computes of the chosen samples, in batches padded to `fixed_batch`, if it is given."""
    chosen = chosen_rows(samples, spec.samples, spec.batch)
    ids = [row.id for row in rows.read(samples.path, chosen)]

    def outputs() -> Iterator[dict[str, NDArray[Any]]]:
        padded = fixed_batch is not None
        with track("reference", len(chosen), "samples") as advance:
            for batch in batches.iterate(samples, spec.normalisation, fixed_batch or BATCH, chosen, padded=padded):
                yield {name: array[: len(batch.ids)] for name, array in run(batch).items()}
                advance(len(batch.ids))

    return predictions.write(out / "predictions.npz", spec.outputs, ids, outputs())

"""Prepare: a data set becomes arrays, once for every batch, SoC and tool."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from runner import networks
from runner.artifacts import Samples, Weights
from runner.datasets import Policy, Reader, Request
from runner.networks import NetworkSpec
from runner.preprocess import Normalisation, normalise
from runner.targets import Target, call


@dataclass(frozen=True)
class PrepareSpec:
    """What samples are made from. `network` and `normalisation` only where the reader needs a policy.

    `content` is the reader's own account of its sources: it makes the key, and nothing here reads it.
    """

    reader: Target
    request: Request
    content: Any
    network: NetworkSpec | None
    normalisation: Normalisation | None


def prepare(spec: PrepareSpec, weights: Weights | None = None, *, out: Path) -> Samples:
    """Write the samples into `out`, going on where an earlier try in the same folder stopped.

    Raises:
        DataError: a sample or a label that cannot be used.
        CheckpointError: the network that is to play cannot be built.
    """
    reader: Reader = call(spec.reader)
    return reader.write(spec.request, out, _policy(spec, weights) if reader.needs_policy else None)


def _policy(spec: PrepareSpec, weights: Weights | None) -> Policy:
    """The network as a player that always takes the action with the largest value."""
    if spec.network is None or spec.normalisation is None or weights is None:
        raise ValueError(f"{spec.reader.name} needs a network, its normalisation and its weights")
    import torch

    normalisation = spec.normalisation
    network = networks.build(spec.network, weights)

    def act(state: NDArray[Any]) -> int:
        with torch.inference_mode():
            values = network(torch.from_numpy(normalise(state[None], normalisation)))
        return int(values.argmax())

    return act

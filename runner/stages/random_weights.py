"""Stage `weights` for random weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.core import Weights, sha256_of
from runner.core.lazy import torch
from runner.networks import NetworkSpec, randomise


@dataclass(frozen=True)
class RandomWeightsSpec:
    """The network, and the seed of its weights."""

    network: NetworkSpec
    seed: int


def random_weights(spec: RandomWeightsSpec, out: Path) -> Weights:
    """Write seeded random weights to `out`/weights.safetensors.

    Raises:
        ConfigError: the network cannot be made.
    """
    target = out / "weights.safetensors"
    _save(randomise(spec.network, spec.seed), target)
    return Weights(target, sha256_of(target), "random")


def _save(network: torch.nn.Module, target: Path) -> None:
    from safetensors.torch import save_file

    # Clones, since the format rejects tensors that share memory or are not contiguous.
    tensors = {
        name: tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    save_file(tensors, target)

"""Stage `prepare` for samples that the network makes by playing a game."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.config import hooks
from runner.config.callables import Target
from runner.config.targets import call
from runner.core import Samples, Weights
from runner.core.lazy import NDArray, torch
from runner.data import Normalisation, Policy, Reader, Request, normalise
from runner.networks import NetworkSpec, build_network


@dataclass(frozen=True)
class PlaySpec:
    """The game's reader, the request to it, and the network that plays."""

    reader: Target
    request: Request
    network: NetworkSpec
    normalisation: Normalisation


def play(spec: PlaySpec, weights: Weights, *, out: Path) -> Samples:
    """Write the states that occur while the network plays into `out`.

    Raises:
        DataError: the network takes an action that the game does not have.
        CheckpointError: the network cannot be built.
    """
    reader: Reader = call(spec.reader)
    made = reader.write(spec.request, out, _policy(spec, weights))
    return hooks.checked(made, Samples, reader.write)


def _policy(spec: PlaySpec, weights: Weights) -> Policy:
    """Return a policy that always takes the action with the largest value."""
    network = build_network(spec.network, weights)

    def act(state: NDArray[Any]) -> int:
        with torch.inference_mode():
            values = network(torch.from_numpy(normalise(state[None], spec.normalisation)))
        return int(values.argmax())

    return act

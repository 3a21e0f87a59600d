import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from runner.config import permissions
from runner.config.callables import Target
from runner.core import TensorSpec, Weights
from runner.data import Geometry, Normalisation, Request
from runner.networks import CheckpointLayout, NetworkSpec
from runner.stages.play import PlaySpec, play

STATE = TensorSpec("input", "float32", (4, 84, 84))
BREAKOUT = Target("runner.tasks.control.AtariFrames", {"game": "BreakoutNoFrameskip-v4", "count": 3})


class Player(torch.nn.Module):
    """Its largest output is always `favourite`."""

    def __init__(self, favourite: int) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.favourite = favourite

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        assert states.dtype == torch.float32
        assert states.shape == (1, 4, 84, 84)
        assert states.max() <= 1  # the normalisation's scale
        return torch.nn.functional.one_hot(torch.tensor([self.favourite]), 4).float() * self.scale


@pytest.fixture(autouse=True)
def players(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("networks_that_play")
    module.Player = Player  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "networks_that_play", module)
    permissions.allow(["networks_that_play", __name__])
    yield
    permissions.allow([])


def played(folder: Path, favourite: int) -> np.ndarray:
    """Breakout's states as played by a network whose largest output is always `favourite`."""
    layout = CheckpointLayout(unwrap=(), rename={}, drop_background=None, settings=None)
    network = NetworkSpec(Target("networks_that_play.Player", {"favourite": favourite}), layout, (STATE,))
    request = Request((STATE,), Geometry(resize=None, interpolation="bilinear", crop=None, channels="rgb"), None, 0)
    save_file({"scale": torch.ones(1)}, folder / "w.safetensors")
    out = folder / str(favourite)
    out.mkdir()
    spec = PlaySpec(BREAKOUT, request, network, Normalisation(1 / 255, (0.0,), (1.0,)))
    made = play(spec, Weights(folder / "w.safetensors", "0" * 64, "file"), out=out)
    states: np.ndarray = np.load(made.path / "input.npy")
    return states


def test_network_plays_greedily_on_normalised_states(tmp_path: Path) -> None:
    left, right = played(tmp_path, 3), played(tmp_path, 2)
    assert not np.array_equal(left, right)

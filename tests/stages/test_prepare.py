import numpy as np
import pytest

from runner import networks
from runner.artifacts import TensorSpec, Weights
from runner.datasets import Request
from runner.errors import ConfigError
from runner.networks import CheckpointLayout, NetworkSpec
from runner.preprocess import Geometry, Normalisation
from runner.stages.prepare import PrepareSpec, prepare
from runner.targets import Target

PLAIN = Geometry(None, "bilinear", None, "rgb")
STATE = TensorSpec("input", "float32", (4, 84, 84))
BREAKOUT = Target("runner.datasets.atari.AtariFrames", {"game": "BreakoutNoFrameskip-v4", "count": 3})


def test_reader_is_called_with_its_arguments(tmp_path):
    request = Request((TensorSpec("noise", "float32", (2,)),), PLAIN, None, 0)
    spec = PrepareSpec(Target("runner.datasets.noise.Noise", {"count": 3}), request, None, None, None)
    assert prepare(spec, out=tmp_path).count == 3


def test_argument_that_the_reader_lacks_is_an_error(tmp_path):
    spec = PrepareSpec(
        Target("runner.datasets.noise.Noise", {"counts": 3}), Request((), PLAIN, None, 0), None, None, None
    )
    with pytest.raises(ConfigError, match="count"):
        prepare(spec, out=tmp_path)


def play(tmp_path, monkeypatch, favourite):
    """Prepare Breakout's states as played by a network whose largest output is always `favourite`."""
    import torch

    class Player(torch.nn.Module):
        def forward(self, states):
            assert states.dtype == torch.float32
            assert states.shape == (1, 4, 84, 84)
            assert states.max() <= 1  # the normalisation's scale
            return torch.nn.functional.one_hot(torch.tensor([favourite]), 4).float()

    monkeypatch.setattr(networks, "build", lambda spec, weights: Player())
    network = NetworkSpec(Target("zoo.dqn.NatureDQN"), CheckpointLayout((), {}, None, None), (STATE,))
    request = Request((STATE,), PLAIN, None, 0)
    spec = PrepareSpec(BREAKOUT, request, None, network, Normalisation(1 / 255, (0.0,), (1.0,)))
    out = tmp_path / str(favourite)
    out.mkdir()
    return np.load(prepare(spec, Weights(tmp_path / "w.pth", "0" * 64, "file"), out=out).path / "input.npy")


def test_network_plays_greedily_on_normalised_states(tmp_path, monkeypatch):
    left, right = play(tmp_path, monkeypatch, 3), play(tmp_path, monkeypatch, 2)
    assert not np.array_equal(left, right)


def test_player_that_is_missing_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="AtariFrames needs a network"):
        prepare(PrepareSpec(BREAKOUT, Request((STATE,), PLAIN, None, 0), None, None, None), out=tmp_path)

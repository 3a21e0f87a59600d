from pathlib import Path

import pytest

from runner.config.callables import Target
from runner.core import ConfigError, TensorSpec
from runner.data import Geometry, Request
from runner.stages.prepare import PrepareSpec, prepare

PLAIN = Geometry(resize=None, interpolation="bilinear", crop=None, channels="rgb")
STATE = TensorSpec("input", "float32", (4, 84, 84))
BREAKOUT = Target("runner.tasks.control.AtariFrames", {"game": "BreakoutNoFrameskip-v4", "count": 3})


def test_reader_is_called_with_its_arguments(tmp_path: Path) -> None:
    request = Request((TensorSpec("noise", "float32", (2,)),), PLAIN, None, 0)
    spec = PrepareSpec(Target("runner.tasks.generation.Noise", {"count": 3}), request, None)
    assert prepare(spec, out=tmp_path).count == 3


def test_argument_that_the_reader_lacks_is_an_error(tmp_path: Path) -> None:
    spec = PrepareSpec(Target("runner.tasks.generation.Noise", {"counts": 3}), Request((), PLAIN, None, 0), None)
    with pytest.raises(ConfigError, match="count"):
        prepare(spec, out=tmp_path)


def test_player_that_is_missing_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="AtariFrames needs a policy"):
        prepare(PrepareSpec(BREAKOUT, Request((STATE,), PLAIN, None, 0), None), out=tmp_path)

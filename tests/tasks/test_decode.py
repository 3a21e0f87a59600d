from pathlib import Path

import numpy as np
import pytest

from runner.config import permissions
from runner.config.callables import Target
from runner.core import ConfigError
from runner.tasks import decode_of, first_output

DECODERS = """
def last_output(outputs, rows):
    return list(outputs.values())[-1]


class Shifted:
    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, outputs, rows):
        return next(iter(outputs.values())) + self.by
"""


@pytest.fixture
def own_decoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The name of a user's own module of metrics, which is allowed."""
    (tmp_path / "own_decoders.py").write_text(DECODERS)
    monkeypatch.syspath_prepend(tmp_path)
    permissions.allow(["own_decoders"])
    yield "own_decoders"
    permissions.allow([])


def test_without_a_decoder_the_first_output_is_the_result() -> None:
    decode = decode_of(None)
    assert decode is first_output
    assert decode({"b": np.array([1, 2]), "a": np.array([3, 4])}, []).tolist() == [1, 2]


def test_a_decoder_may_be_a_function(own_decoders) -> None:
    decode = decode_of(Target(f"{own_decoders}.last_output"))
    assert decode({"b": np.array([1, 2]), "a": np.array([3, 4])}, []).tolist() == [3, 4]


def test_a_decoder_may_be_a_class_with_arguments(own_decoders) -> None:
    decode = decode_of(Target(f"{own_decoders}.Shifted", {"by": 10}))
    assert decode({"b": np.array([1, 2])}, []).tolist() == [11, 12]


def test_a_decoder_without_an_argument_that_it_needs_is_told(own_decoders) -> None:
    with pytest.raises(ConfigError, match="lacks its argument 'by'"):
        decode_of(Target(f"{own_decoders}.Shifted"))


def test_the_first_output_may_be_named_in_the_configuration() -> None:
    decode = decode_of(Target("runner.tasks.first_output", place="model.decode"))
    assert decode({"b": np.array([1, 2]), "a": np.array([3, 4])}, []).tolist() == [1, 2]


@pytest.mark.parametrize("name", ["Decode", "Mean", "agreement", "decode_of"])
def test_what_decodes_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"not made to be called as model\.decode"):
        decode_of(Target(f"runner.tasks.{name}", place="model.decode"))

"""Keys that are null may become mappings by overrides; an override that cannot be applied is named in the error."""

import pytest

from runner.config import compose
from runner.core import ConfigError


def test_a_key_that_is_null_becomes_a_mapping() -> None:
    config = compose.compose(["model=dqn", "+model.checkpoint.adapt={_target_: zoo.dqn.NatureDQN}"])
    assert config.model.checkpoint.adapt == {"_target_": "zoo.dqn.NatureDQN"}


def test_an_empty_mapping_takes_the_place_of_null() -> None:
    assert compose.compose(["model=dqn", "model.checkpoint.adapt={}"]).model.checkpoint.adapt == {}


def test_a_mapping_is_added_where_there_is_no_key() -> None:
    metrics = compose.compose(["model=dqn", "+dataset.metrics.same={_target_: runner.tasks.agreement}"]).dataset.metrics
    assert metrics.same == {"_target_": "runner.tasks.agreement"}


def test_a_key_below_one_that_is_null_is_added() -> None:
    assert compose.compose(["model=dqn", "+tool.compiler.x=1"]).tool.compiler == {"x": 1}


def test_a_key_below_one_that_is_null_has_the_type_of_the_schema() -> None:
    onnx = compose.compose(["model=dqn", "model.onnx.file=a.onnx"]).model.onnx
    assert (onnx.file, onnx.package) == ("a.onnx", None)
    with pytest.raises(ConfigError, match=r"there is no key model\.onnx\.fil; did you mean model\.onnx\.file\?"):
        compose.compose(["model=dqn", "model.onnx={fil: a.onnx}"])


def test_what_is_null_stays_so_unless_a_mapping_is_given() -> None:
    assert compose.compose(["model=dqn", "model.onnx=null", "model.checkpoint.adapt=null"]).model.onnx is None


def test_an_item_of_a_list_that_is_null_cannot_be_set() -> None:
    with pytest.raises(ConfigError, match=r"model\.preprocess\.size\.0=1 gives model\.preprocess\.size\.0 a value of"):
        compose.compose(["model=dqn", "model.preprocess.size.0=1"])

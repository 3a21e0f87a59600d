"""Paths on the command line: taken as typed, whatever characters they hold."""

from __future__ import annotations

import pytest

from runner.config import compose, overrides

LIGHTNING = "lenet_epoch=12_test_acc=0.991.pth"


@pytest.mark.parametrize("key", ["weights", "dataset.root", "dataset.labels", "cache_dir"])
@pytest.mark.parametrize(
    "path", [LIGHTNING, "my file.pth", "a,b.pth", "a:b", "it's", "[1].pth", "1e5", "C:\\new", "(x)"]
)
def test_a_path_is_taken_as_typed(key: str, path: str, composed) -> None:
    config = composed("model=dqn", f"{key}={path}")
    first, _, rest = key.partition(".")
    assert (config[first][rest] if rest else config[first]) == path


@pytest.mark.parametrize(
    "typed", ["weights=auto", "weights=a.pth", "weights='a=b'", "dataset.root=null", "hydra.run.dir=out"]
)
def test_what_hydra_reads_as_typed_stays_as_typed(typed: str) -> None:
    assert overrides.adapt([typed], list) == [typed]


def test_a_folder_of_a_run_may_have_an_equals_sign() -> None:
    assert overrides.adapt(["hydra.run.dir=lr=0.1"], list) == ["hydra.run.dir='lr=0.1'"]


def test_a_sweep_over_paths_splits_at_commas() -> None:
    typed = ["-m", f"weights={LIGHTNING},b=2.pth,c.pth"]
    assert overrides.adapt(typed, list) == [f"weights='{LIGHTNING}','b=2.pth',c.pth", "--multirun"]


def test_a_choice_among_paths_is_one() -> None:
    assert overrides.adapt(["-m", "weights=choice(a.pth,b.pth)"], list)[0] == "weights=choice(a.pth,b.pth)"


def test_quoted_overrides_of_another_command_take_such_paths() -> None:
    assert compose.compose(["model=dqn", f"weights={LIGHTNING}"]).weights == LIGHTNING


@pytest.mark.parametrize(
    ("typed", "adapted"),
    [
        ("stages=export", "stages=[export]"),
        ("stages=[weights,export]", "stages=[weights,export]"),
        ("stages=null", "stages=null"),
        ("force=benchmark", "force=[benchmark]"),
        ("force=true", "force=true"),
        ("allow=my_package", "allow=[my_package]"),
        ("model.preprocess.mean=0.5", "model.preprocess.mean=[0.5]"),
        ("model.outputs=${model.name}", "model.outputs=${model.name}"),
        ("device=1", "device=1"),
    ],
)
def test_one_value_of_a_list_is_a_list_of_one(typed: str, adapted: str) -> None:
    assert overrides.adapt([typed], list) == [adapted]


def test_each_value_of_a_sweep_over_a_list_is_a_list() -> None:
    assert overrides.adapt(["-m", "stages=export,[weights,infer]"], list)[0] == "stages=[export],[weights,infer]"


def test_an_experiment_may_be_a_sweep_over_paths() -> None:
    typed = ["experiment=dqn_table", "weights=a=1.pth,b.pth"]
    assert overrides.adapt(typed, list) == ["+experiment=dqn_table", "weights='a=1.pth',b.pth"]

"""What is mistyped on the command line or in a YAML file: what is wrong, where, and the nearest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.config import compose, keys
from runner.core import ConfigError


@pytest.fixture
def refused(run_main, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[str]]:
    """The lines that a refused command line prints, in an empty folder, in which it leaves nothing."""
    monkeypatch.chdir(tmp_path)

    def lines(*arguments: str) -> list[str]:
        before = set(tmp_path.rglob("*"))
        done = run_main(*arguments, check=1)
        assert set(tmp_path.rglob("*")) == before
        assert done.stdout == ""
        return done.stderr.splitlines()

    return lines


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ([], "no model is chosen"),
        (["modle=dqn"], "there is no key modle; did you mean model?"),
        (["wieghts=random"], "there is no key wieghts; did you mean weights?"),
        (["+wieghts=random"], "there is no key wieghts; did you mean weights?"),
        (["benchmark.min_second=2"], "there is no key benchmark.min_second; did you mean benchmark.min_seconds?"),
        (["min_seconds=2"], "there is no key min_seconds; did you mean benchmark.min_seconds?"),
        (["experimnt=dqn_table"], "there is no key experimnt; did you mean experiment?"),
        (["weights.x=1"], "there is no key weights.x; did you mean weights?"),
        (["~x"], "there is no key x"),
        (["~tool"], "~tool: every run has one tool, which is neither added nor taken away"),
        (["+tool=onnxruntime"], "+tool=onnxruntime: every run has one tool, which is neither added nor taken away"),
        (["~weights"], "~weights would take away weights, which every run has"),
        (["moco_v2"], "moco_v2 is no key=value; did you mean model=moco_v2?"),
        (["weights"], "weights is no key=value; did you mean weights=VALUE?"),
        (["--verison"], "there is no flag --verison; did you mean --version?"),
        (["--cfg"], "--cfg lacks its value"),
        (["model=dqn", "+weights=random"], "weights is there already, and + adds a key"),
        (["model=dqn", "batch=1,2"], "batch=1,2 has several values, and this is one run"),
        (["model=dqn", "seed=1,2"], "seed=1,2 has several values, and this is one run"),
        (["model=glob(*)"], "model=glob(*) has several values, and this is one run"),
        (["model=dqn", "limit=abc"], "limit=abc: Value 'abc' of type 'str' could not be converted to Integer"),
        (["model=dqn", "batch=true"], "there is no batch=true"),
        (["model=dqn", "experiment=true"], "there is no experiment=true"),
        (["model=dqn", "experiment=[1]"], "experiment=[1]: experiment takes one option"),
        (["model=dqn", "hydra/launcher=1"], "there is no hydra/launcher=1"),
        (["model=dqn", f"limit={'9' * 5001}"], f"limit={'9' * 20}... has a number of more than 4300 digits"),
        (["model=dqn", f"batch={'9' * 5001}"], f"batch={'9' * 20}... has a number of more than 4300 digits"),
        (["model=a/b"], "there is no model=a/b"),
        (["model=dqn", "gates=1"], "gates=1: it takes keys and their values, not a value of type int"),
        (["model=dqn", "gates=null"], "gates=null: it cannot be null"),
        (["model=dqn", "gates=[]"], "gates=[]: a list is given for a mapping, or a mapping for a list"),
        (["model=dqn", "-m", "batch=1,,2"], "Error parsing override 'batch=1,,2'; extraneous input ','"),
        (
            ["model=dqn", "cache_dir=~nobody_of_that_name/x"],
            "~nobody_of_that_name/x: the home folder of that user is not known",
        ),
        (["model=dqn", "limit=["], "error parsing override 'limit=['; no viable alternative at input '['"),
        (["model=dqn", "hydra.run.dri=x"], "there is no key hydra.run.dri; did you mean hydra.run.dir?"),
        (
            ["model=dqn", "tool.adapter.thread=2"],
            "there is no key tool.adapter.thread; did you mean tool.adapter.threads?",
        ),
    ],
)
def test_what_is_mistyped_is_one_line_with_the_nearest_and_one_with_the_fix(
    typed: list[str], told: str, refused: Callable[..., list[str]]
) -> None:
    error, fix = refused(*typed)
    assert error == f"error: {told}"
    assert fix.startswith("    fix: ")
    assert "hydra.cc" not in fix


def test_a_list_without_brackets_is_shown_with_them(refused: Callable[..., list[str]]) -> None:
    assert refused("model=dqn", "stages=weights,export")[1].endswith("or give one list: stages=[weights,export]")


def test_all_problems_of_a_run_begin_as_errors(refused: Callable[..., list[str]]) -> None:
    lines = refused("model=dqn", "batch=0")
    assert [line[:6] for line in lines if not line.startswith("    fix: ")] == ["error:", "error:"]


def test_a_refused_run_is_kept_in_a_folder_of_the_users_choice(
    run_main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_main("model=dqn", "weights=random", "batch=0", "hydra.run.dir=here", check=1)
    assert (tmp_path / "here" / "result.json").is_file()


def test_a_refused_run_takes_no_other_run_with_it(run_main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "outputs" / "dqn" / "cpu-onnxruntime" / "bs0" / "before" / "result.json"
    other.parent.mkdir(parents=True)
    other.touch()
    run_main("model=dqn", "weights=random", "batch=0", check=1)
    assert [path for path in (tmp_path / "outputs").rglob("*") if path.is_file()] == [other]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            "name: a\npreproces:\n  resize: 8\n",
            "line 2: there is no key model.preproces; did you mean model.preprocess?",
        ),
        (
            "name: a\nexport:\n  opsett: 11\n",
            "line 3: there is no key model.export.opsett; did you mean model.export.opset?",
        ),
        (
            "name: a\ninputs:\n  - name: x\n    shap: [3]\n",
            "line 4: there is no key shap; did you mean shape?",
        ),
        (
            "name: a\nexport:\n\n  opset: high\n",
            "line 4: model.export.opset: Value 'high' of type 'str' could not be converted to Integer",
        ),
        ("defualts: [b]\nname: a\n", "line 1: there is no key model.defualts; did you mean model.defaults?"),
        (
            "name: a\ncheckpoint: [3]\n",
            "line 2: model.checkpoint: it takes keys and their values, not a value of type list",
        ),
        ("name: a\ncheckpoint:\n", "line 2: model.checkpoint: it cannot be null"),
    ],
)
def test_what_is_mistyped_in_a_file_names_the_file_and_the_line(content: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "model" / "a.yaml"
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(ConfigError) as refusal:
        compose.compose(["--config-dir", str(tmp_path), "model=a"])
    assert refusal.value.message == f"{file}, {told}"


def test_a_default_that_there_is_not_is_told_with_the_file_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "model" / "a.yaml"
    file.parent.mkdir()
    file.write_text("defaults: [resnet19]\nname: a\n")
    with pytest.raises(ConfigError, match=r"^In 'model/a': there is no model=resnet19\n    fix: did you mean resnet18"):
        compose.compose(["--config-dir", str(tmp_path), "model=a"])


def test_a_model_without_a_name_is_told_which_key_it_lacks(refused: Callable[..., list[str]], tmp_path: Path) -> None:
    file = tmp_path / "model" / "a.yaml"
    file.parent.mkdir()
    file.write_text("task: image_classification\n")
    assert refused("--config-dir", str(tmp_path), "model=a")[0] == "error: model.name is not given"


def test_a_flag_is_refused_where_a_command_takes_overrides_only() -> None:
    with pytest.raises(ConfigError, match="--cfg is a flag"):
        compose.compose(["model=dqn", "--cfg", "job"])


def test_keys_read_from_the_source_are_those_of_the_schema() -> None:
    from omegaconf import OmegaConf

    from runner.config.schema import RunConfig

    assert {name for name in keys.known() if "." not in name} == set(OmegaConf.structured(RunConfig))
    assert keys.known()["benchmark.input"].choices == ("random", "real")
    assert keys.known()["stages"].takes_list
    assert "model.onnx.file" in keys.known()


@pytest.mark.parametrize(
    "name", ["model.network.num_classes", "model.about.zh", "tool.adapter.threads", "model.inputs.0.shape", "device"]
)
def test_what_the_schema_leaves_open_may_be_named(name: str) -> None:
    assert keys.problem(name) is None

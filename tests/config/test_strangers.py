"""Files of strangers: configurations that would run code or reach where they should not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from runner.config import compose, loading
from runner.core import RunnerError

MARK = "pwned"
SYSTEM = "{_target_: os.system, command: touch pwned}"
POPEN = "{_target_: subprocess.Popen, args: [touch, pwned]}"
RUN = "{_target_: runner.core.process.run, argv: [touch, pwned], stage: x, name: x, timeout_seconds: 9}"

MODEL = """
name: evil
task: image_classification
reference: nowhere
network: {_target_: torchvision.models.resnet18}
checkpoint: {file: evil.pth}
inputs: [{name: image, shape: [3, 32, 32]}]
outputs: [class]
preprocess: {resize: 32, crop: 32}
"""
DATASET = """
name: evil
reader: {_target_: runner.tasks.classification.SyntheticImages, count: 2, classes: 10, width: 40, height: 40, seed: 0}
metrics: {top1: {_target_: runner.tasks.classification.top_k, k: 1}}
"""
TOOL = """
name: evil
serves: [cpu]
adapter: {_target_: runner.tools.onnxruntime.OnnxRuntime}
"""


@pytest.fixture
def run_strange(tmp_path: Path, run_main: Callable[..., object], monkeypatch: pytest.MonkeyPatch):
    """Run with the folder `conf` of a stranger's files; it must be refused, and nothing of theirs done."""
    monkeypatch.chdir(tmp_path)

    def run(files: dict[str, str], *arguments: str, check: int = 1, default_data: bool = False):
        for name, text in {"model/evil.yaml": MODEL, **files}.items():
            path = tmp_path / "conf" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        chosen = [f"{kind}=evil" for kind in ("dataset", "tool") if f"{kind}/evil.yaml" in files]
        given = default_data or "dataset=evil" in chosen
        pictures = [] if given else ["dataset=synthetic_images", "dataset.reader.count=2"]
        done = run_main(
            *("--config-dir", "conf", "model=evil", "weights=random", "benchmark.min_seconds=0", *pictures, *chosen),
            *arguments,
            check=check,
        )
        assert not (tmp_path / MARK).exists()
        return done

    return run


def with_line(text: str, key: str, value: str) -> str:
    """The YAML with one key set anew."""
    kept = [line for line in text.splitlines() if not line.startswith(f"{key}:")]
    return "\n".join([*kept, f"{key}: {value}"])


CALLS = {
    "network": ("model", MODEL, "network", "{}"),
    "nested": ("model", MODEL, "network", "{{_target_: torch.nn.Sequential, _args_: [{}]}}"),
    "settings": ("model", MODEL, "checkpoint", "{{file: evil.pth, settings: {}}}"),
    "adapt": ("model", MODEL, "checkpoint", "{{file: evil.pth, adapt: {}}}"),
    "reader": ("dataset", DATASET, "reader", "{}"),
    "metrics": ("dataset", DATASET, "metrics", "{{top1: {}}}"),
    "preview": ("dataset", DATASET, "preview", "{}"),
    "adapter": ("tool", TOOL, "adapter", "{}"),
    "compiler": ("tool", TOOL, "compiler", "{}"),
}


@pytest.mark.parametrize("called", [SYSTEM, POPEN, RUN], ids=["os.system", "Popen", "process.run"])
@pytest.mark.parametrize("place", CALLS)
def test_no_target_of_a_stranger_s_runs_a_program(place: str, called: str, run_strange) -> None:
    group, text, key, value = CALLS[place]
    done = run_strange({f"{group}/evil.yaml": with_line(text, key, value.format(called))})
    assert "may not be called there" in done.stderr


@pytest.mark.parametrize("name", ["os.system", "runner.core.process.run", "subprocess.getoutput"])
def test_no_surgery_of_a_stranger_s_runs_a_program(name: str, run_strange) -> None:
    done = run_strange({"model/evil.yaml": with_line(MODEL, "surgery", f"[{name}]")})
    assert f"model.surgery names {name}" in done.stderr


def test_a_package_beside_the_folder_is_neither_called_nor_imported(run_strange, tmp_path: Path) -> None:
    (tmp_path / "evil_pack.py").write_text("import os\nos.system('touch pwned')\ndef net(): pass\n")
    done = run_strange({"model/evil.yaml": with_line(MODEL, "network", "{_target_: evil_pack.net}")})
    assert "allow=[evil_pack]" in done.stderr


@pytest.mark.parametrize("key", ["allow: [os, subprocess]", "tool: {program: ./evil}", "cache_dir: /", "weights: x"])
@pytest.mark.parametrize("package", ["_global_", "allow", "hydra"])
def test_a_file_sets_nothing_beyond_its_own_group(package: str, key: str, run_strange) -> None:
    done = run_strange({"model/evil.yaml": f"# @package {package}\n{key}\n"})
    assert "reaches beyond its own group" in done.stderr


HYDRA = {
    "callbacks": f"callbacks: {{x: {SYSTEM}}}",
    "launcher": f"launcher: {{_target_: hydra._internal.core_plugins.basic_launcher.BasicLauncher, x: {SYSTEM}}}",
    "sweeper": f"sweeper: {{_target_: hydra._internal.core_plugins.basic_sweeper.BasicSweeper, x: {SYSTEM}}}",
    "factory": "job_logging: {version: 1, handlers: {x: {'()': os.system, command: touch pwned}}}",
    "handler": "job_logging: {version: 1, handlers: {x: {class: subprocess.Popen, args: [touch, pwned]}}}",
    "hydra_logging": "hydra_logging: {version: 1, handlers: {x: {'()': os.system, command: touch pwned}}}",
}


@pytest.mark.parametrize("multirun", [[], ["-m"]], ids=["run", "sweep"])
@pytest.mark.parametrize("node", HYDRA)
def test_hydra_s_own_nodes_are_out_of_reach(node: str, multirun: list[str], run_strange) -> None:
    done = run_strange({"model/evil.yaml": f"# @package _global_\nhydra:\n  {HYDRA[node]}\n"}, *multirun)
    assert "reaches beyond its own group" in done.stderr


@pytest.mark.parametrize("node", HYDRA)
def test_a_hydra_node_without_a_package_is_an_unknown_key(node: str, run_strange) -> None:
    done = run_strange({"model/evil.yaml": f"{MODEL}\nhydra:\n  {HYDRA[node]}\n"})
    assert "hydra" in done.stderr


@pytest.mark.parametrize(
    "entry",
    [
        "/dataset@_global_.hydra.callbacks: calls",
        "/dataset@hydra.callbacks.x: calls",
        "override /tool@_global_.tool: evil",
        "override /hydra/launcher: evil",
        "override hydra/job_logging: evil",
    ],
)
def test_defaults_place_nothing_elsewhere(entry: str, run_strange) -> None:
    files = {
        "model/evil.yaml": f"defaults:\n  - {entry}\n{MODEL}",
        "dataset/calls.yaml": SYSTEM,
        "tool/evil.yaml": TOOL,
        "hydra/launcher/evil.yaml": SYSTEM,
        "hydra/job_logging/evil.yaml": HYDRA["factory"],
    }
    assert "its defaults name" in run_strange(files).stderr


@pytest.mark.parametrize("entry", ["../../outside", "/../outside", "//{}/outside", "../dataset/calls", "/schema"])
def test_defaults_name_no_file_outside_of_the_group(entry: str, run_strange, tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text(f"# @package _global_\nhydra: {{callbacks: {{x: {SYSTEM}}}}}\n")
    run_strange({"model/evil.yaml": f"defaults:\n  - {entry.format(tmp_path)}\n{MODEL}", "dataset/calls.yaml": SYSTEM})


def test_another_group_s_option_is_no_way_out_of_the_folder(run_strange, tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text(f"# @package _global_\nhydra: {{callbacks: {{x: {SYSTEM}}}}}\n")
    up = "../" * 20 + str(tmp_path).lstrip("/")
    text = f"defaults:\n  - override /dataset@_global_.dataset: {up}/outside\n{MODEL}"
    assert "outside" in run_strange({"model/evil.yaml": text}, default_data=True).stderr


@pytest.mark.parametrize("name", ["schema", "config", "hydra/config", "hydra/launcher/basic", "hydra/output/default"])
def test_files_outside_of_the_groups_are_not_seen(name: str, run_strange) -> None:
    done = run_strange({f"{name}.yaml": f"hydra: {{callbacks: {{x: {SYSTEM}}}}}\n"}, "stages=[weights]", check=0)
    assert "weights" in done.stderr + done.stdout


@pytest.mark.parametrize("argument", ["hydra/launcher=evil", "hydra/job_logging=evil", "hydra/help=evil"])
def test_hydra_s_groups_have_no_options_in_the_folder(argument: str, run_strange) -> None:
    group = argument.partition("=")[0]
    assert "evil" in run_strange({f"{group}/evil.yaml": SYSTEM}, argument).stderr


@pytest.mark.parametrize("flag", ["--config-path", "-cp"])
def test_a_stranger_s_folder_does_not_take_the_place_of_ours(flag: str, run_strange) -> None:
    config = f"defaults: [schema, model: evil]\nhydra: {{callbacks: {{x: {SYSTEM}}}}}\n"
    run_strange({"config.yaml": config}, flag, os.fspath(Path("conf").absolute()))


def test_a_stranger_s_primary_configuration_is_not_seen(run_strange) -> None:
    run_strange({"evil.yaml": f"hydra: {{callbacks: {{x: {SYSTEM}}}}}\n"}, "--config-name", "evil")


def test_a_search_path_is_a_folder_like_any_other(run_strange) -> None:
    more = {"other/model/worse.yaml": f"# @package _global_\nhydra: {{callbacks: {{x: {SYSTEM}}}}}\n"}
    done = run_strange(more, "hydra.searchpath=[file://conf/other]", "model=worse")
    assert "reaches beyond its own group" in done.stderr


def test_a_run_that_was_pickled_is_not_loaded(run_strange, tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self):
            return os.system, ("touch pwned",)

    (tmp_path / "config.pickle").write_bytes(pickle.dumps(Evil()))
    assert "pickle" in run_strange({}, "--experimental-rerun", "config.pickle").stderr


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch pwned']",
        "!!python/object/new:os.system [touch pwned]",
        "!!python/name:os.system ''",
        "!!python/module:os ''",
    ],
)
def test_yaml_makes_no_python_objects(value: str, run_strange) -> None:
    run_strange({"model/evil.yaml": with_line(MODEL, "task", value)})


def test_aliases_that_stand_for_billions_are_refused(run_strange) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    assert "aliases" in run_strange({"model/evil.yaml": "\n".join([MODEL, *lines])}).stderr


def test_an_alias_within_itself_is_refused(run_strange) -> None:
    run_strange({"model/evil.yaml": f"{MODEL}\natc: &a {{x: *a}}\n"})


def test_very_deep_yaml_is_refused(run_strange) -> None:
    run_strange({"model/evil.yaml": f"{MODEL}\natc: {'[' * 5000}{']' * 5000}\n"})


def test_interpolations_call_nothing(run_strange) -> None:
    assert (
        "os.system" in run_strange({"model/evil.yaml": with_line(MODEL, "task", '"${os.system:touch pwned}"')}).stderr
    )


@pytest.mark.parametrize(
    "value",
    [
        "{file: e.pth, sha256: '00000000', url: 'http://127.0.0.1:9/${oc.env:PWD}'}",
        "{file: e.pth, url: 'http://127.0.0.1:9/${hydra:runtime.cwd}'}",
        "{file: e.pth, url: 'http://127.0.0.1:9/${dataset.root}'}",
        "{file: e.pth, url: 'http://127.0.0.1:9/${...weights}'}",
    ],
)
def test_a_url_sends_nothing_of_the_user_s(value: str, run_strange) -> None:
    done = run_strange({"model/evil.yaml": with_line(MODEL, "checkpoint", value)}, "weights=auto", "stages=[weights]")
    assert "reaches beyond its own group: model.checkpoint.url" in done.stderr


@pytest.mark.parametrize("group", ["dataset", "tool"])
def test_no_file_of_a_stranger_s_reads_the_environment(group: str, run_strange) -> None:
    text = {"dataset": DATASET, "tool": TOOL}[group]
    done = run_strange({f"{group}/evil.yaml": f"{text}\nnote: ${{oc.env:HOME}}\n"})
    assert "reaches beyond its own group" in done.stderr


@pytest.mark.parametrize("key", ["program: ./evil", "python: bin/python", "script: ../evil.py"])
def test_a_tool_of_a_stranger_s_names_no_program_in_the_working_folder(key: str, run_strange) -> None:
    assert "where the user works" in run_strange({"tool/evil.yaml": f"{TOOL}\n{key}\n"}).stderr


@pytest.mark.parametrize(
    "flag", ["debug_dir: /root/.ssh", "mdl_bank_path: ../../../etc", "raw_ge_options: x", "insert_op_conf: evil.cfg"]
)
def test_a_model_of_a_stranger_s_names_no_file_to_atc(flag: str, run_strange) -> None:
    done = run_strange({"model/evil.yaml": with_line(MODEL, "atc", f"{{{flag}}}")})
    assert f"sets atc.{flag.partition(':')[0]}" in done.stderr


@pytest.mark.parametrize("defaults", ["{a: b}", "text", "[1, 2]", "[[a]]", "[null]", "[evil]"])
def test_defaults_of_an_odd_kind_are_refused_in_words(defaults: str, run_strange) -> None:
    done = run_strange({"model/evil.yaml": f"defaults: {defaults}\n{MODEL}"})
    assert "defaults" in done.stderr


def test_defaults_that_double_again_and_again_are_refused_at_once(run_strange) -> None:
    files = {f"model/m{level}.yaml": f"defaults: [m{level + 1}, n{level + 1}]" for level in range(22)}
    files |= {f"model/n{level}.yaml": f"defaults: [m{level + 1}, n{level + 1}]" for level in range(22)}
    done = run_strange({**files, "model/evil.yaml": f"defaults: [m0, _self_]\n{MODEL}", "model/m22.yaml": "x: 1"})
    assert "more than 100 files" in done.stderr


@pytest.mark.parametrize("name", ["../../elsewhere", "/elsewhere", "..", '"${oc.env:HOME}"', '"${model.task}"', "[a]"])
def test_a_name_leads_no_run_folder_out_of_outputs(name: str, run_strange, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.parent.iterdir())
    assert "folders are named by it" in run_strange({"model/evil.yaml": with_line(MODEL, "name", name)}).stderr
    assert sorted(path.name for path in tmp_path.parent.iterdir()) == before
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("file", ["../../../../evil.pth", "/evil.pth", "..", '""', '"a\\0b"', "x" * 300])
def test_a_download_does_not_leave_its_folder(file: str, run_strange, tmp_path: Path) -> None:
    (tmp_path / "source.pth").write_bytes(b"anything")
    url = f"file://{tmp_path}/source.pth"
    text = with_line(MODEL, "checkpoint", f"{{file: {file}, url: '{url}'}}")
    assert "model.checkpoint.file" in run_strange({"model/evil.yaml": text}, "weights=auto").stderr
    assert not list(tmp_path.rglob("evil.pth"))


# What a user's own folder may still do.


def test_a_model_may_choose_its_data_set(tmp_path: Path) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "mine.yaml").write_text(
        f"defaults:\n  - override /dataset@_global_.dataset: noise\n{MODEL}"
    )
    config = loading.load(compose.compose(["--config-dir", str(tmp_path / "conf"), "model=mine"]))
    assert config.dataset.name == "noise"


def test_a_model_may_inherit_from_another(tmp_path: Path) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "base.yaml").write_text(MODEL)
    (tmp_path / "conf" / "model" / "mine.yaml").write_text("defaults: [base, _self_]\nname: mine\n")
    config = loading.load(compose.compose(["--config-dir", str(tmp_path / "conf"), "model=mine"]))
    assert (config.model.name, config.model.outputs) == ("mine", ["class"])


def test_what_is_allowed_on_the_command_line_is_called(run_tiny) -> None:
    run_tiny("weights=random", "stages=[weights]")


def test_without_being_allowed_it_is_not(run_tiny) -> None:
    assert "allow=[tiny_zoo]" in run_tiny("weights=random", "stages=[weights]", "allow=[]", check=1).stderr


def test_it_is_allowed_in_each_job_of_a_sweep(run_tiny) -> None:
    run_tiny("-m", "weights=random", "stages=[weights]", "hydra.sweep.dir=sweep", "batch=1,2")


def test_composing_in_this_process_refuses_as_the_command_line_does(tmp_path: Path) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "evil.yaml").write_text(f"# @package _global_\nallow: [os]\n{MODEL}")
    with pytest.raises(RunnerError, match="reaches beyond its own group"):
        compose.compose(["--config-dir", str(tmp_path / "conf"), "model=evil"])


def test_other_entry_points_refuse_too(tmp_path: Path) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "evil.yaml").write_text(with_line(MODEL, "network", SYSTEM))
    for module in ("runner.debug", "runner.diff"):
        command = [sys.executable, "-m", module, "--config-dir", "conf", "model=evil", "weights=random"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert "Traceback" not in done.stderr
        assert not (tmp_path / MARK).exists()

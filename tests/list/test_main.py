"""`python -m runner.list`: what is there, what can run here, and what a wrong name is answered with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.config import options
from runner.list import __main__ as listing_command
from runner.list import listing
from runner.list.listing import Zoo

STANDINS = Path(__file__).parents[1] / "standins"
HEAVY = {"torch", "torchvision", "timm", "onnx", "onnxruntime", "matplotlib", "pandas"}


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """`python -m runner.list ...` in an empty folder; what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, check: int = 0) -> str:
        code = listing_command.main(arguments)
        done = capsys.readouterr()
        assert code == check, done.out + done.err
        return done.err if check else done.out

    return run


@pytest.fixture
def rows(ask):
    """The same with --json: group -> option's name -> its row."""

    def run(*arguments: str) -> dict[str, dict[str, dict]]:
        found = json.loads(ask(*arguments, "--json"))
        return {group: {row["name"]: row for row in rows} for group, rows in found.items()}

    return run


@pytest.fixture
def own(tmp_path):
    """Write an option into a folder of the user's; returns the words that name the folder."""

    def write(group: str, name: str, text: str) -> tuple[str, str]:
        path = tmp_path / "mine" / group / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return "--config-dir", str(tmp_path / "mine")

    return write


def test_without_words_every_group_is_told(ask, rows) -> None:
    printed = ask()
    for group in ("model", "dataset", "soc", "tool", "experiment"):
        assert f"python -m runner.list {group}" in printed
    assert set(rows()) == {"model", "dataset", "soc", "tool", "experiment"}


def test_every_option_of_the_zoo_is_listed(rows) -> None:
    for group, found in rows().items():
        assert set(found) == {path.stem for path in (options.CONF / group).glob("*.yaml")}


def test_a_models_row_has_what_is_published_best_and_where_it_is_from(ask) -> None:
    (line,) = [line for line in ask("model", "name=dcgan").splitlines() if "dcgan" in line]
    for part in ("image generation", "noise [100, 1, 1]", "108782/s 310P3 bs32", "acc 100", "DCGAN"):
        assert part in line


def test_the_fastest_row_is_the_highest_throughput_and_the_most_accurate_the_first_metric() -> None:
    published = [
        {"soc": "310", "batch": 1, "samples_per_second": 5.0, "accuracy": {"top1": 70.0, "top5": 91.0}},
        {"soc": "310", "batch": 4, "samples_per_second": 9.0, "accuracy": {"top1": 69.0, "top5": 99.0}},
        {"soc": "t4", "batch": 8, "source": "no figures"},
    ]
    best = listing.best(published)
    assert best["fastest"] == {"soc": "310", "batch": 4, "samples_per_second": 9.0}
    assert best["most_accurate"] == {"soc": "310", "batch": 1, "accuracy": {"top1": 70.0, "top5": 91.0}}
    assert listing.best([]) == {"fastest": None, "most_accurate": None}


def test_the_keys_for_scripts_are_those_that_help_documents(rows, capsys) -> None:
    assert listing_command.main(["--help"]) == 0
    told = capsys.readouterr().out
    for found in rows().values():
        for row in found.values():
            assert all(key in told for key in row), row


def test_with_a_soc_the_published_figures_are_those_on_it(rows) -> None:
    row = rows("model", "soc=t4", "name=dcgan")["model"]["dcgan"]
    assert {published["soc"] for published in row["published"]} == {"t4"}
    assert row["fastest"]["soc"] == "t4"


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        (("task=image_generation",), {"dcgan"}),
        (("name=dc*,dqn",), {"dcgan", "dqn"}),
        (("name=DCGAN",), {"dcgan"}),
        (("dataset=atari",), {"dqn"}),
        (("library=zoo", "name=d[cq]*"), {"dcgan", "dqn"}),
        (("library=zoo", "name=d[cq]*", "weights=missing"), {"dqn"}),
        (("name=d[cq]*", "soc=Ascend310P3", "here=yes"), {"dcgan"}),
        (("task=image_generation", "dataset=atari"), set()),
    ],
)
def test_filters_let_through_what_is_all_of_that(filters, named, rows) -> None:
    assert set(rows("model", *filters)["model"]) == named


def test_filters_without_a_group_are_of_models(rows) -> None:
    assert list(rows("name=dqn")) == ["model"]


def test_a_soc_is_found_by_its_tool_and_a_tool_by_its_kind(rows) -> None:
    assert set(rows("soc", "tool=trtexec")["soc"]) == {"t4"}
    assert set(rows("tool", "kind=cpu")["tool"]) == {"onnxruntime"}
    assert "imagenet" in rows("dataset", "metric=top1")["dataset"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("model", "resnet81"), "did you mean resnet18"),
        (("resnet81",), "did you mean resnet18"),
        (("modle",), "did you mean model?"),
        (("soc", "310P4"), "did you mean 310P1, 310P3"),
        (("model", "dqn", "dcgna"), "did you mean dcgan"),
        (("zzzzzz",), "choose a group from model, dataset, soc, tool"),
        (("batch",), "any size"),
        (("model", "tsk=x"), "did you mean task? choose from name, task"),
        (("model", "task=image_clasification"), "did you mean image_classification"),
        (("model", "soc=zzz"), "there are 310,"),
        (("model", "here=perhaps"), "choose from yes, no"),
        (("dataset", "soc=x"), "soc= is no filter of dataset"),
        (("dataset", "task=segmentatoin"), "did you mean segmentation?"),
        (("--nope",), "see python -m runner.list --help"),
        (("--config-dir", "nowhere"), "there is no such folder"),
    ],
)
def test_a_wrong_word_is_answered_with_the_nearest_ones(words, told, ask) -> None:
    assert told in ask(*words, check=1)


def test_a_name_tells_all_of_one_and_a_command(ask) -> None:
    printed = ask("dcgan")
    assert "zoo.dcgan.Generator" in printed
    assert "DCGAN guide" in printed
    assert "python -m runner model=dcgan" in printed
    assert ask("trtexec").rstrip().endswith("python -m runner model=dqn tool=trtexec weights=random soc=t4")


def test_weights_that_lie_here_are_seen(rows, tmp_path) -> None:
    before = rows("dqn")["model"]["dqn"]
    assert (before["weights"], before["runs_here"]) == ("missing", False)
    assert "dqn.pth is not there" in before["needs"][0]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "dqn.pth").touch()
    after = rows("dqn")["model"]["dqn"]
    assert (after["weights"], after["runs_here"], after["needs"]) == ("file", True, [])


def test_an_option_for_a_whole_library_says_so(ask) -> None:
    printed = ask("timm")
    assert "as its library says" in printed
    assert "model=timm model.arch=NAME" in printed


OUTSIDE = (
    "{name: mine, task: detection, onnx: {file: a.onnx, where: their page}, inputs: [{name: x, shape: [3, null]}]}"
)


def test_an_outside_models_row_says_so(own, rows, tmp_path) -> None:
    words = own("model", "mine", OUTSIDE)
    row = rows(*words, "mine")["model"]["mine"]
    assert (row["library"], row["network"], row["weights"]) == ("onnx", None, "missing")
    assert (row["checkpoint"]["file"], row["inputs"][0]["shape"]) == ("a.onnx", [3, None])
    assert row["needs"] == ["checkpoints/a.onnx is not there (their page)"]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "a.onnx").touch()
    assert rows(*words, "library=onnx", "here=yes", "name=mine")["model"]["mine"]["weights"] == "file"


def test_an_outside_model_in_a_package_is_seen_where_that_is_installed(own, rows, tmp_path, monkeypatch) -> None:
    words = own("model", "mine", OUTSIDE.replace("onnx: {", "onnx: {package: shipped_models, "))
    assert rows(*words, "mine")["model"]["mine"]["needs"] == ["shipped_models is not installed (their page)"]
    (tmp_path / "shipped_models").mkdir()
    (tmp_path / "shipped_models" / "__init__.py").write_text("raise SystemExit(3)")
    (tmp_path / "shipped_models" / "a.onnx").touch()
    monkeypatch.syspath_prepend(tmp_path)
    row = rows(*words, "mine")["model"]["mine"]
    assert (row["weights"], row["runs_here"]) == ("package", True)


def test_an_outside_models_command_names_its_file_and_a_free_size_is_any(own, ask) -> None:
    printed = ask(*own("model", "mine", OUTSIDE), "mine")
    assert "x [3, any] float32" in printed
    assert printed.rstrip().endswith("model=mine weights=FILE")


def test_models_and_data_sets_are_found_by_their_task(rows) -> None:
    models, datasets = rows("model", "task=detection")["model"], rows("dataset", "task=detection")["dataset"]
    assert {row["task"] for row in (*models.values(), *datasets.values())} == {"detection"}
    assert "yolov5n" in models


def test_the_data_set_and_the_task_of_a_model_it_is_based_on_are_its_own(own, rows) -> None:
    words = own(
        "model", "base", "{name: base, task: '${model.arch}', defaults: [{override /dataset@_global_.dataset: coco}]}"
    )
    own("model", "derived", "{name: derived, defaults: [base]}")
    row = rows(*words, "derived")["model"]["derived"]
    assert (row["dataset"], row["task"]) == ("coco", "detection")


def test_a_data_sets_command_has_a_model_of_its_task(own, ask, rows) -> None:
    words = own(
        "dataset", "boxes", "{name: boxes, task: detection, reader: {_target_: runner.data.Nothing, root: null}}"
    )
    *_, model, dataset, weights, root = ask(*words, "dataset", "boxes").split()
    assert (dataset, weights, root) == ("dataset=boxes", "weights=random", "dataset.root=DIR")
    assert model.removeprefix("model=") in rows("model", "task=detection")["model"]


def test_what_is_lacking_is_told_in_one_language(rows) -> None:
    told = rows("dqn")["model"]["dqn"]["needs"][0]
    assert "dqn.pth is part of the guide's source package" in told
    assert "zh" not in told


def test_an_experiment_tells_what_it_sweeps_and_its_command(ask, rows) -> None:
    row = rows("experiment", "soc=310P3")["experiment"]["moco_v2_table"]
    assert (row["model"], row["soc"]) == ("moco_v2", "310P3")
    assert row["sweeps"] == {"batch": ["1", "4", "8", "16", "32", "64"]}
    assert "npu-smi names no Ascend card" in row["needs"]
    assert ask("moco_v2_table").endswith("python -m runner +experiment=moco_v2_table\n")


def test_what_this_machine_lacks_is_told(rows) -> None:
    found = rows()
    assert found["soc"]["cpu"]["runs_here"]
    assert found["tool"]["onnxruntime"]["runs_here"]
    assert found["dataset"]["imagenet"]["needs"] == ["dataset.root=DIR is not given"]


def test_a_card_and_its_tools_are_seen_where_they_are(rows, card) -> None:
    found = rows()
    assert found["tool"]["ais_bench"]["needs"] == []
    assert found["soc"]["310P3"]["runs_here"]
    assert "npu-smi info names 310P3" in found["soc"]["910B1"]["needs"][0]
    assert "tool.script=ais_infer.py names no folder" in found["tool"]["ais_infer"]["needs"][0]


def test_a_users_options_are_listed_with_where_they_are_from(own, ask, rows) -> None:
    words = own("model", "mine", "{name: mine, network: {_target_: nets.some.Net}, inputs: [{name: x, shape: [3]}]}")
    own("soc", "laptop", "{name: laptop, kind: cpu}")
    assert rows(*words, "mine")["model"]["mine"]["from"] == words[1]
    assert rows(*words, "soc", "laptop")["soc"]["laptop"]["runs_here"]
    assert words[1] in ask("model", *words, "name=mine")
    assert "python -m runner --config-dir" in ask("laptop", *words)


def test_a_users_network_is_found_beside_the_folder_and_not_imported(own, rows, tmp_path) -> None:
    words = own("model", "mine", "{name: mine, network: {_target_: nets.some.Net}, inputs: []}")
    assert "there is no module nets.some" in rows(*words, "mine")["model"]["mine"]["needs"]
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "some.py").write_text("import not_installed\nraise SystemExit(3)")
    needs = rows(*words, "mine")["model"]["mine"]["needs"]
    assert "not_installed is not installed" in needs
    assert "there is no module nets.some" not in needs


def test_a_users_tool_is_not_run_to_be_listed(own, rows, tmp_path) -> None:
    (tmp_path / "nets.py").write_text("raise SystemExit(3)")
    words = own("tool", "mine", "{name: mine, serves: [cpu], adapter: {_target_: nets.Tool}}")
    assert rows(*words, "tool", "mine")["tool"]["mine"]["runs_here"]


@pytest.mark.parametrize(
    "text", ["a: [", "- 1", "", "inputs: 3", "inputs: [{nome: x}]", "network: x", "published: [{}]", "defaults: 3"]
)
def test_a_broken_file_is_told_and_hides_nothing(text: str, own, rows) -> None:
    found = rows(*own("model", "broken", text))["model"]
    assert not found["broken"]["runs_here"]
    assert found["broken"]["needs"]
    assert "dqn" in found


@pytest.mark.parametrize("text", ["adapter: {_target_: runner.tools.onnxruntime.OnnxRuntime, thread: 3}", "adapter: 3"])
def test_a_tool_with_a_fault_is_told(text: str, own, rows) -> None:
    words = own("tool", "broken", f"{{name: broken, serves: [cpu], {text}}}")
    assert rows(*words, "tool")["tool"]["broken"]["needs"]


def test_nothing_heavy_is_imported_for_a_zoo_of_hundreds(own, tmp_path) -> None:
    text = (options.CONF / "model" / "moco_v2.yaml").read_text()
    words = own("model", "copy", text)
    for index in range(200):
        own("model", f"copy{index}", text)
    script = f"""
import sys
from runner.list.__main__ import main
main({list(words)!r})
print(sorted({HEAVY!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_zoo_is_read_once() -> None:
    zoo = Zoo()
    assert zoo.content is zoo.content
    assert zoo.source("model", "dqn") == "conf"


def test_a_misprint_is_marked_and_never_the_fastest(ask, rows) -> None:
    fastest = rows("model", "name=resnet50_dino")["model"]["resnet50_dino"]["fastest"]
    assert fastest == {"soc": "310", "batch": 16, "samples_per_second": 2441.2}
    assert "misprint: 64 times" in ask("model", "resnet50_dino")


def test_a_strangers_tool_is_listed_without_starting_its_program(own, rows, tmp_path) -> None:
    (tmp_path / "evil").write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
    (tmp_path / "evil").chmod(0o755)
    adapter = f"{{_target_: runner.tools.ascend.AisBench, python: {tmp_path}/evil}}"
    found = rows(*own("tool", "evil", f"{{name: evil, serves: [ascend], adapter: {adapter}}}"), "tool")
    assert found["tool"]["evil"]["serves"] == ["ascend"]
    assert not (tmp_path / "pwned").exists()


def test_a_strangers_references_to_the_environment_are_told_and_not_resolved(own, rows, monkeypatch) -> None:
    monkeypatch.setenv("SECRET", "s3cr3t")
    found = rows(*own("model", "evil", "{name: evil, task: '${oc.env:SECRET}'}"), "model", "evil")
    assert "only plain references" in found["model"]["evil"]["needs"][0]


def test_a_fifo_among_the_options_is_told_and_not_waited_for(own, rows, tmp_path) -> None:
    words = own("model", "fine", "{name: fine}")
    os.mkfifo(tmp_path / "mine" / "model" / "fifo.yaml")
    assert "not a regular file" in rows(*words, "model", "fifo")["model"]["fifo"]["needs"][0]


def test_control_characters_of_an_option_do_not_reach_the_terminal(own, ask) -> None:
    printed = ask(*own("model", "evil", '{name: evil, reference: "\\e]0;title\\e[2J"}'), "model", "evil")
    assert "\x1b" not in printed
    assert "\\x1b[2J" in printed

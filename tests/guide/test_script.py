"""The script of a guide, run word for word on the stand-ins of a card."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.guide import __main__ as guide

RUN_SECONDS = 300
SMALL = ("weights=random", "tool.adapter.loop=3")


@pytest.fixture
def script(tmp_path, monkeypatch, card) -> Callable[..., Path]:
    """The script of a guide in an empty folder of a machine with a card."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "set_env.sh").touch()
    monkeypatch.setenv("PYTHONPATH", f"{Path(guide.__file__).parents[2]}:{Path(__file__).parents[1] / 'standins'}")

    def write(*arguments: str) -> Path:
        given = (*arguments, f"tool.environment_script={tmp_path / 'set_env.sh'}", "--script", "run.sh")
        assert guide.main(given) == 0
        return Path("run.sh")

    return write


@pytest.mark.parametrize(
    ("arguments", "batches", "scored"),
    [
        (("model=moco_v2", "dataset=synthetic_images", "limit=3", "batch=2"), 1, "top1"),
        (("model=dcgan", "limit=10", "batch=1,4"), 2, "mean_abs"),
        (("model=resnet18_aipp", "dataset=synthetic_images", "limit=3", "batch=2"), 1, "top5"),
    ],
    ids=["moco_v2", "dcgan", "resnet18_aipp"],
)
def test_it_runs_from_the_weights_to_the_accuracies(script, arguments, batches, scored) -> None:
    path = script(*arguments, *SMALL)
    done = subprocess.run(["bash", path], capture_output=True, text=True, timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(rf"│ +{scored} +│", done.stdout)) == batches
    assert len(re.findall(r"pass fidelity", done.stdout)) >= batches
    assert len(list(Path("result").glob("bs*/benchmark_summary.json"))) == batches


def test_its_lines_are_those_of_the_guide(script, capsys) -> None:
    lines = script("model=moco_v2", "batch=1,4").read_text().splitlines()
    capsys.readouterr()
    guide.main(["model=moco_v2", "batch=1,4", f"tool.environment_script={Path.cwd().parent / 'set_env.sh'}"])
    text = capsys.readouterr().out.splitlines()
    commands = [line for line in lines if line.startswith(("python", "atc ", "source ", "ls ", "mkdir "))]
    assert len(commands) >= 8
    assert set(commands) <= set(text)


def test_it_asks_for_the_folder_of_the_data_set(script) -> None:
    done = subprocess.run(["bash", script("model=moco_v2", "batch=1", "lang=en")], capture_output=True, text=True)
    assert done.returncode != 0
    assert "name the folder of the data set, as in dataset_root=/path/to/imagenet bash run.sh" in done.stderr


@pytest.fixture
def without_cann(tmp_path, monkeypatch) -> Path:
    """A script of a guide on a machine without CANN, with the home folder that it lies in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert guide.main(["model=dcgan", "batch=1", "lang=en", "--script", "run.sh"]) == 0
    return tmp_path / "run.sh"


def test_it_sources_the_first_environment_script_that_is_there(without_cann) -> None:
    places = without_cann.parent / "Ascend/cann", without_cann.parent / "Ascend/ascend-toolkit"
    for place in places:
        place.mkdir(parents=True)
        (place / "set_env.sh").write_text(f"echo sourced {place}; exit 3")
    done = subprocess.run(["bash", without_cann], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, f"sourced {places[0]}\n"), done.stderr


def test_it_names_the_environment_scripts_of_which_none_is_there(without_cann) -> None:
    done = subprocess.run(["bash", without_cann], capture_output=True, text=True)
    assert done.returncode != 0
    assert "/usr/local/Ascend/cann/set_env.sh, ~/Ascend/cann/set_env.sh, ~/Ascend" in done.stderr
    assert done.stdout == ""


def test_it_stops_where_a_program_fails(script, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "error")
    path = script("model=dcgan", "limit=2", "batch=1", *SMALL)
    done = subprocess.run(["bash", path], capture_output=True, text=True, timeout=RUN_SECONDS)
    assert done.returncode == 1
    assert "something went wrong" in done.stderr

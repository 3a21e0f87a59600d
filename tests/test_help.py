"""`python -m runner --help`: the runner's own page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runner.config.groups import CONF


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_needs_no_model(flag: str, run_main) -> None:
    done = run_main(flag)
    assert done.stdout.startswith("From a PyTorch checkpoint to a published table, in one command:")
    assert done.stderr == ""


def test_help_with_a_model_runs_nothing(run_main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_main("model=dqn", "weights=random", "--help").stdout == run_main("--help").stdout
    assert list(tmp_path.iterdir()) == []


def test_every_group_is_told_with_its_options(run_main) -> None:
    lines = run_main("--help").stdout.splitlines()
    words = " ".join(lines).split()
    told = words[words.index("dataset:") + 1 : words.index("soc:")]
    assert told == sorted(path.stem for path in (CONF / "dataset").glob("*.yaml"))
    (batch,) = (line for line in lines if line.startswith("  batch: "))
    assert batch.split()[:4] == ["batch:", "1", "4", "8"]
    assert batch.endswith("(any size)")


@pytest.mark.parametrize("arguments", [["--config-dir", "conf"], ["--config-dir=conf"], ["-cd", "conf"]])
def test_options_of_a_users_folder_stand_beside_the_runners_own(
    arguments: list[str], tiny_zoo: Path, run_main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_zoo)
    words = run_main(*arguments, "--help").stdout.split()
    assert {"tiny", "dqn"} <= set(words)


@pytest.mark.parametrize("arguments", [["--config-dir", "nowhere"], ["-cd=nowhere"]])
def test_a_users_folder_that_is_not_there_is_an_error(
    arguments: list[str], run_main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_main(*arguments, "--help", check=1)
    assert "--config-dir nowhere: there is no such folder" in done.stderr
    assert done.stdout == ""


def test_the_page_is_printed_without_importing_hydra(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "runner", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "runner" in imported
    assert imported & {"hydra", "omegaconf", "torch", "numpy", "onnx"} == set()

"""The console script `mzr`, which is short for `python -m runner` and for the commands beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from runner import diff
from runner.help import COMMANDS, PROGRAM

PROGRAM_PATH = shutil.which(PROGRAM, path=str(Path(sys.executable).parent))
installed = pytest.mark.skipif(PROGRAM_PATH is None, reason=f"{PROGRAM} is not installed beside this interpreter")


def called(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAM_PATH), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@installed
def test_a_runner_py_in_the_working_folder_does_not_hide_ours(tmp_path: Path) -> None:
    (tmp_path / "runner.py").write_text("print('theirs')")
    (tmp_path / "conf").mkdir()
    done = called("--cfg", "job", "model=dqn", cwd=tmp_path)
    assert done.returncode == 0
    assert "NatureDQN" in done.stdout


@installed
@pytest.mark.parametrize("command", [["--help"], ["list", "--help"]])
def test_it_says_what_the_module_says(command: list[str], tmp_path: Path) -> None:
    name, *rest = command if command[0] in COMMANDS else ["", *command]
    module = f"runner.{name}".removesuffix(".")
    long = subprocess.run(
        [sys.executable, "-m", module, *rest], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert called(*command, cwd=tmp_path).stdout == long.stdout != ""


@installed
def test_a_commands_exit_code_is_its_own(tmp_path: Path) -> None:
    assert called("diff", "nowhere", "neither", cwd=tmp_path).returncode == diff.TROUBLE


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_run_as_a_word(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runner", command, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: python -m runner.{command}" in done.stdout


def test_the_version_is_the_runners(run_main) -> None:
    assert run_main("--version").stdout == f"model-zoo-runner {version('model-zoo-runner')}\n"


@pytest.mark.parametrize(
    "flags", ["--help", "--hydra-help", "--cfg job model=dqn", "--version", "--info defaults model=dqn"]
)
def test_a_closed_pipe_is_no_error(flags: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -u -m runner {flags} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n", "")

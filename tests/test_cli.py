"""Exit codes and output of every command, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import cli
from runner.core import DataError

ROOT = Path(__file__).parents[1]
COMMANDS = ("list", "report", "compare", "diff", "guide", "guide.steps", "debug", "new", "cache")
FULL = Path("/dev/full")


def command(*arguments: str, cwd: Path, stdout: Any = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_takes_a_mistyped_flag_for_a_failed_gate(name, tmp_path) -> None:
    done = command(f"runner.{name}", "--nonsense", cwd=tmp_path)
    assert done.returncode == (3 if name == "diff" else 1)
    assert done.stderr.startswith("error: ")
    assert f"fix: see python -m runner.{name} --help" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--cfg", "nonsense"], "--cfg is given 'nonsense'"),
        (["--info=nonsense"], "--info is given 'nonsense'"),
        (["--multirun=3"], "--multirun takes no value"),
        (["--nonsense"], "there is no flag --nonsense"),
        (["-m", "batch=1,2", "--nonsense"], "there is no flag --nonsense"),
        (["hydra/job_logging=disabled", "weights=random"], "hydra.job_logging"),
    ],
)
def test_a_run_takes_no_mistyped_flag_for_a_failed_gate(arguments, told, run_main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in run_main("model=dqn", *arguments, check=1).stderr


@pytest.mark.parametrize("code", [2, 3, "a text"])
def test_a_command_that_exits_by_itself_does_not_look_like_a_failed_gate(code) -> None:
    assert cli.exit_code_of(lambda: sys.exit(code)) == 1


def test_a_command_that_exits_with_0_is_done() -> None:
    assert cli.exit_code_of(lambda: sys.exit(0)) == 0


def test_an_error_is_printed_and_has_the_code_that_is_asked_for(capsys) -> None:
    def failing() -> None:
        raise DataError("it is empty", "fill it")

    assert cli.exit_code_of(failing, failed=3) == 3
    assert capsys.readouterr().err == "error: it is empty\n    fix: fill it\n"


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments", [["runner", "--help"], ["runner.list", "--json"], ["runner", "--cfg=job", "model=dqn"]]
)
def test_a_full_disk_behind_stdout_is_not_blamed_on_another_file(arguments, unbuffered, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with FULL.open("w") as full:
        done = command(*arguments, cwd=tmp_path, stdout=full)
    assert done.returncode == 1
    assert done.stderr == (
        "error: stdout cannot be written: No space left on device\n    fix: redirect it to where there is room\n"
    )

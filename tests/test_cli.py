"""Exit codes and output of every command, in processes of their own."""

import errno
import os
import shlex
import signal
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


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize("arguments", ["runner --cfg job model=dqn", "runner.list soc cpu"])
def test_a_stream_that_is_closed_is_as_the_null_device(arguments: str, closed: str, tmp_path: Path) -> None:
    line = f"{shlex.quote(sys.executable)} -P -m {arguments} {closed}"
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == ("1>&-" not in closed)


def test_a_working_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f'rmdir "$PWD"; {shlex.quote(sys.executable)} -P -m runner model=dqn weights=random'
    done = subprocess.run(
        ["sh", "-c", line], cwd=gone, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "error: outputs: the working folder has been removed")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--cfg", "nonsense"], "--cfg is given 'nonsense'"),
        (["--info=nonsense"], "--info is given 'nonsense'"),
        (["--multirun=3"], "--multirun takes no value"),
        (["--nonsense"], "there is no flag --nonsense"),
        (["-m", "batch=1,2", "--nonsense"], "there is no flag --nonsense"),
    ],
)
def test_a_run_takes_no_mistyped_flag_for_a_failed_gate(arguments, told, run_main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in run_main("model=dqn", *arguments, check=1).stderr


def test_a_run_refuses_logging_that_is_switched_off(tmp_path) -> None:  # in a process of its own, as it is for good
    done = command("runner", "model=dqn", "weights=random", "hydra/job_logging=disabled", cwd=tmp_path)
    assert (done.returncode, "hydra.job_logging" in done.stderr) == (1, True)


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


def test_an_interrupted_command_says_so_without_a_traceback(capsys) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert cli.exit_code_of(interrupted) == 1
    assert capsys.readouterr().err == "interrupted\n"


def test_sigterm_ends_a_command_as_an_interruption_does(capsys) -> None:
    assert cli.exit_code_of(lambda: os.kill(os.getpid(), signal.SIGTERM)) == 1
    assert capsys.readouterr().err == "terminated by SIGTERM\n"


def test_a_full_disk_is_told_by_its_file(capsys) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "report.json")

    assert cli.exit_code_of(full) == 1
    assert capsys.readouterr().err.startswith("error: report.json: No space left on device (")


def test_a_fault_of_the_runner_is_told_and_shows_its_traceback_if_asked(capsys, monkeypatch) -> None:
    def faulty() -> None:
        raise LookupError("nothing there")

    assert cli.exit_code_of(faulty) == 1
    assert capsys.readouterr().err.startswith(
        "error: LookupError: nothing there\n    fix: this is a fault of the runner"
    )
    monkeypatch.setenv(cli.FULL_ERROR, "1")
    with pytest.raises(LookupError):
        cli.exit_code_of(faulty)


def test_a_closed_stdout_is_told_on_stderr(tmp_path) -> None:
    code = "import sys; from runner import cli; sys.exit(cli.exit_code_of(lambda: sys.stdout.close()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "error: stdout cannot be written: I/O operation on closed file.\n    fix: let no hook close it\n"
    )


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

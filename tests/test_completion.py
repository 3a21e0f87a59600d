"""Tab completion: what is offered, and that a real bash and zsh take it for both spellings of the command."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner import completion

BREAKS = " \t\n\"'><=;|&(:"
"""COMP_WORDBREAKS of a bash that nobody has configured."""


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """What is printed for a line, as the shell asks for it."""

    def lines(line: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["-c", BREAKS, line])
        completion.main()
        return capsys.readouterr().out.splitlines()

    return lines


@pytest.mark.parametrize("program", ["mzr", "/opt/bin/mzr", "python -m runner", "python3 -X dev -m runner -m"])
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("model=moc", ["moco_v2"]),
        ("model=dqn lim", ["limit="]),
        ("benchmark.min_s", ["benchmark.min_seconds="]),
        ("benchmark.input=", ["random", "real"]),
        ("batch=", ["1", "4", "8", "16", "32", "64"]),
        ("model=dqn,dcg", ["dqn,dcgan"]),
        ("soc=a", ["auto"]),
        ("dry_run=", ["true", "false"]),
        ("stages=[weights,exp", ["[weights,export"]),
        ("force=benc", ["benchmark"]),
        ("model.arch=mobilenet_v3_sm", ["mobilenet_v3_small"]),
        ("model=timm model.arch=resnet18", ["resnet18", "resnet18d"]),
        ("--multi", ["--multirun"]),
        ("--cfg j", ["job"]),
        ("+model.che", ["+model.checkpoint."]),
        ("limit=", []),
        ("nothing", []),
    ],
)
def test_what_a_word_may_become(program: str, typed: str, expected: list[str], offered) -> None:
    assert offered(f"{program} {typed}") == expected


def test_commands_stand_beside_the_keys(offered) -> None:
    assert offered("mzr re") == ["report"]
    assert offered("python -m runner.re") == ["runner.report"]
    assert offered("mzr debug model=dq") == offered("python -m runner.debug model=dq") == ["dqn"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("weights=r", ["random", "runs/"]),
        ("weights=lenet_e", ["lenet_epoch=12.pth"]),
        ("weights=lenet_epoch=", ["12.pth"]),
        ("weights=my", ["my\\ file.pth"]),
        ("weights='my", ["my file.pth"]),
        ("weights=my\\ f", ["my\\ file.pth"]),
        ("dataset.root=ru", ["runs/"]),
        ("dataset.root=runs/", ["runs/a"]),
        ("--config-dir ", ["runs/"]),
        ("report ru", ["runs/"]),
        ("weights=no_folder/x", []),
        ("weights=.h", [".hidden"]),
    ],
)
def test_paths_are_those_of_the_working_folder(
    typed: str, expected: list[str], offered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("runs/a", "lenet_epoch=12.pth", "my file.pth", ".hidden"):
        (tmp_path / name).touch()
    assert offered(f"mzr {typed}") == expected


def test_options_of_a_users_folder_are_offered(offered, tiny_zoo: Path) -> None:
    assert offered(f"mzr --config-dir {tiny_zoo / 'conf'} model=tin") == ["tiny"]


def test_arches_are_all_that_the_libraries_list() -> None:
    import timm
    from torchvision import models

    assert set(completion._arches("timm")) == set(timm.list_models())
    assert set(completion._arches("torchvision")) >= {name for name in models.list_models() if "quantized" not in name}


def test_neither_hydra_nor_what_is_heavy_is_imported() -> None:
    command = [sys.executable, "-X", "importtime", "-c", "import runner.completion"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "runner" in imported
    assert imported & {"hydra", "omegaconf", "torch", "numpy", "timm", "rich"} == set()


def test_another_shell_is_an_error(run_main) -> None:
    assert "--completion fish: there is none for that" in run_main("--completion", "fish", check=1).stderr


class Shell:
    """An interactive shell in a terminal of its own."""

    def __init__(self, folder: Path, *argv: str) -> None:
        self.unread = ""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            environment = {**os.environ, "PS1": "ready> ", "TERM": "dumb", "INPUTRC": "/dev/null"}
            os.execvpe(argv[0], argv, environment)

    def until(self, text: str, seconds: float = 20) -> str:
        """Read until the text has come; return all up to it, and keep the rest for the next call."""
        end = time.monotonic() + seconds
        while text not in self.unread:
            ready, _, _ = select.select([self.terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"{text!r} did not come after {self.unread!r}"
            self.unread += os.read(self.terminal, 65536).decode()
        before, _, self.unread = self.unread.partition(text)
        return before + text

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def end(self) -> None:
        os.close(self.terminal)  # hangs up
        os.waitpid(self.pid, 0)


BASH = ("bash", "--norc", "--noprofile", "-i")


@pytest.fixture
def bash(tmp_path: Path):
    shell = Shell(tmp_path, *BASH)
    shell.until("ready> ")
    shell.type(f'eval "$({shlex.quote(sys.executable)} -m runner --completion bash)"; echo don"e"\n')
    shell.until("done\r\n")
    yield shell
    shell.end()


@pytest.mark.parametrize("program", ["python -m runner", "python3 -m runner", "mzr"])
def test_a_tab_in_bash_completes_the_word(bash: Shell, program: str) -> None:
    bash.type(f"{program} model=moc\t")
    assert "model=moco_v2 " in bash.until("o_v2 ")
    bash.type("benchmark.max\t")
    bash.until("benchmark.max_seconds=")


def test_a_name_with_an_equals_sign_and_one_with_a_space_complete_in_bash(bash: Shell, tmp_path: Path) -> None:
    (tmp_path / "net_epoch=12.pth").touch()
    (tmp_path / "my file.pth").touch()
    bash.type("mzr weights=net_epoch=1\t")
    bash.until("net_epoch=12.pth ")
    bash.type("dataset.root=my\t")
    bash.until("my\\ file.pth ")


def test_other_modules_of_python_complete_as_before(tmp_path: Path) -> None:
    shell = Shell(tmp_path, *BASH)
    shell.until("ready> ")
    shell.type("_theirs() { COMPREPLY=(the_answer); }; complete -F _theirs python\n")
    shell.type(f'eval "$({shlex.quote(sys.executable)} -m runner --completion bash)"; echo don"e"\n')
    shell.until("done\r\n")
    shell.type("python the_\t")
    shell.until("the_answer ")
    shell.end()


@pytest.fixture
def zsh(tmp_path: Path):
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    shell = Shell(tmp_path, "zsh", "-f", "-i")
    shell.until("ready> ")
    shell.type(f'eval "$({shlex.quote(sys.executable)} -m runner --completion zsh)"; echo don"e"\n')
    shell.until("done\r\n")
    shell.until("ready> ")
    yield shell
    shell.end()


@pytest.mark.parametrize("program", ["python -m runner", "mzr"])
def test_a_tab_in_zsh_completes_the_word(zsh: Shell, program: str) -> None:
    zsh.type(f"{program} model=moc\t")
    zsh.until("o_v2 ")
    zsh.type("benchmark.max\t")
    zsh.until("_seconds=")


def test_a_name_with_an_equals_sign_and_one_with_a_space_complete_in_zsh(zsh: Shell, tmp_path: Path) -> None:
    (tmp_path / "net_epoch=12.pth").touch()
    (tmp_path / "my file.pth").touch()
    zsh.type("mzr weights=net_epoch=1\t")
    zsh.until("2.pth ")
    zsh.type("dataset.root=my\t")
    zsh.until("\\ file.pth ")


def test_other_uses_of_python_complete_in_zsh_as_before(zsh: Shell, tmp_path: Path) -> None:
    (tmp_path / "the_answer.py").touch()
    zsh.type("python the_\t")
    zsh.until("answer.py ")


def test_a_runner_py_in_the_working_folder_is_not_run_by_a_tab(tmp_path: Path) -> None:
    (tmp_path / "runner.py").write_text("raise SystemExit('theirs')")
    script = completion.script(["--completion", "bash"])
    typed = "COMP_LINE='mzr model=moc'; COMP_POINT=13; _mzr; echo ${COMPREPLY[@]}"
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{typed}"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "moco_v2\n", done.stderr

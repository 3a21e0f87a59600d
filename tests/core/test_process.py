"""The one place that starts a program, tried on small real programs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

import runner
from runner.core import Command, ToolError, process, process_tree
from tests.core.programs import python

pytestmark = pytest.mark.usefixtures("quick_programs")


def test_stdout_and_stderr_go_to_the_log_and_the_tail(tmp_path: Path) -> None:
    finished = python("import sys; print('out', flush=True); print('err', file=sys.stderr)")

    assert finished.returncode == 0
    assert finished.log == tmp_path / "logs" / "child.log"
    assert finished.log.read_text() == "out\nerr\n"
    assert finished.tail == "out\nerr"
    assert finished.seconds > 0


def test_a_second_program_of_the_same_name_gets_a_numbered_log() -> None:
    logs = [python("print(1)").log.name for _ in range(3)]

    assert logs == ["child.log", "child-2.log", "child-3.log"]


def test_an_exit_status_other_than_0_is_returned() -> None:
    assert python("raise SystemExit(3)").returncode == 3


def test_stdin_is_empty() -> None:
    assert python("import sys; print(repr(sys.stdin.read()))").tail == "''"


def test_a_file_can_be_stdin(tmp_path: Path) -> None:
    (tmp_path / "said").write_text("hello")
    finished = process.run(["cat"], stage="compile", name="cat", timeout_seconds=20, stdin=tmp_path / "said")
    assert finished.tail == "hello"


def test_arguments_reach_the_program_untouched() -> None:
    arguments = ["two words", 'it\'s "quoted"', "line\nbreak", "-leading", "$HOME;`id`", "*", "", "\udcff"]

    finished = python("import sys; print(ascii(sys.argv[1:]))", *arguments)

    assert finished.tail == ascii(arguments)


def test_a_program_may_live_in_a_folder_with_odd_characters(tmp_path: Path) -> None:
    program = tmp_path / "a 'b\" \n -c" / "-tool"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho here\n")
    program.chmod(0o755)

    assert process.run([str(program)], stage="x", name="odd", timeout_seconds=10).tail == "here"


def test_an_environment_replaces_this_process_s_and_its_path_finds_the_program(tmp_path: Path) -> None:
    program = tmp_path / "say"
    program.write_text('#!/bin/sh\necho "$WORD$HOME"\n')
    program.chmod(0o755)
    environment = {"PATH": str(tmp_path), "WORD": "hello"}

    assert process.found("say") is None
    assert process.found("say", environment) == program
    finished = process.run(["say"], stage="x", name="say", timeout_seconds=10, environment=environment)
    assert finished.tail == "hello"


@pytest.mark.parametrize(("name", "fix"), [("SIGKILL", "out of memory"), ("SIGSEGV", "look into the log")])
def test_death_by_a_signal_names_it(name: str, fix: str) -> None:
    code = f"import os, signal; print('so far', flush=True); os.kill(os.getpid(), signal.{name})"

    with pytest.raises(ToolError, match=rf"(?s)killed by {name}.*child\.log.*so far") as error:
        python(code)

    assert fix in error.value.fix


def test_a_missing_program_says_what_to_do() -> None:
    with pytest.raises(ToolError, match="cannot start no-such-tool") as error:
        process.run(["no-such-tool"], stage="x", name="x", timeout_seconds=1)

    assert "PATH" in error.value.fix


def test_a_file_that_is_not_executable_says_so(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")

    with pytest.raises(ToolError, match="Permission denied") as error:
        process.run([str(tmp_path / "tool")], stage="x", name="x", timeout_seconds=1)

    assert "chmod +x" in error.value.fix


def test_a_script_without_its_interpreter_says_so(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/no/such/interpreter\n")
    (tmp_path / "tool").chmod(0o755)

    with pytest.raises(ToolError) as error:
        process.run([str(tmp_path / "tool")], stage="x", name="x", timeout_seconds=1)

    assert "interpreter" in error.value.fix


def test_a_program_for_another_machine_says_so(tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(b"\x7fELF nonsense")
    (tmp_path / "tool").chmod(0o755)

    with pytest.raises(ToolError, match="Exec format error"):
        process.run([str(tmp_path / "tool")], stage="x", name="x", timeout_seconds=1)


def test_a_missing_working_folder_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no such folder"):
        process.run(["true"], stage="x", name="x", timeout_seconds=1, cwd=tmp_path / "nowhere")


def test_the_variables_after_a_script_hold_none_of_the_runner_s_own(tmp_path: Path) -> None:
    (tmp_path / "set_env.sh").write_text("export GREETING=hello\n")

    assert process_tree.FAMILY not in process.sourced(tmp_path / "set_env.sh")


def test_an_argument_with_a_nul_is_refused() -> None:
    with pytest.raises(ToolError, match="NUL"):
        process.run(["true", "a\0b"], stage="x", name="x", timeout_seconds=1)


def test_an_empty_command_line_is_refused() -> None:
    with pytest.raises(ToolError, match="no program"):
        process.run([], stage="x", name="x", timeout_seconds=1)


def test_what_was_started_is_recorded() -> None:
    with process.recording() as commands:
        process.run(["true"], stage="compile", name="a", timeout_seconds=10)
        process.run(["echo", "b"], stage="infer", name="b", timeout_seconds=10)
    process.run(["true"], stage="later", name="c", timeout_seconds=10)

    assert commands == [Command("compile", ("true",)), Command("infer", ("echo", "b"))]


def test_sourced_is_the_environment_after_the_script(tmp_path: Path) -> None:
    script = tmp_path / "set 'env.sh"
    script.write_text('echo noise\nexport GREETING="two\nlines"\nexport PATH="/somewhere:$PATH"\n')

    environment = process.sourced(script)

    assert environment["GREETING"] == "two\nlines"
    assert environment["PATH"] == f"/somewhere:{os.environ['PATH']}"


def test_a_changed_script_is_sourced_again(tmp_path: Path) -> None:
    script = tmp_path / "set_env.sh"
    script.write_text("export ROUND=1\n")
    first = process.sourced(script)["ROUND"]
    script.write_text("export ROUND=2\n")
    os.utime(script, ns=(1, 1))

    assert (first, process.sourced(script)["ROUND"]) == ("1", "2")


def test_a_script_that_fails_says_why(tmp_path: Path) -> None:
    script = tmp_path / "set_env.sh"
    script.write_text("echo driver is missing >&2\nreturn 4\n")

    with pytest.raises(ToolError, match="exit status 4: driver is missing"):
        process.sourced(script)


def test_a_missing_script_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot read the environment script"):
        process.sourced(tmp_path / "nowhere.sh")


def test_a_script_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SOURCE_TIMEOUT_SECONDS", 0.5)
    script = tmp_path / "set_env.sh"
    script.write_text("sleep 600\n")

    with pytest.raises(ToolError, match=r"still running after 0\.5 seconds"):
        process.sourced(script)


def test_a_program_finds_no_module_by_an_empty_item_of_pythonpath(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"/a{os.pathsep}{os.pathsep}/b{os.pathsep}"}
    argv = (sys.executable, "-c", "import os; print(os.environ['PYTHONPATH'])")
    finished = process.run(argv, stage="s", name="n", timeout_seconds=60, environment=environment)
    assert finished.tail == f"/a{os.pathsep}/b"


@pytest.mark.parametrize(("ours", "seen"), [(runner.SAFE_PATH, "None"), ("1", "1")])
def test_a_program_has_pythonsafepath_as_the_user_set_it(ours: str, seen: str) -> None:
    argv = (sys.executable, "-c", "import os; print(os.environ.get('PYTHONSAFEPATH'))")
    environment = {**os.environ, "PYTHONSAFEPATH": ours}
    finished = process.run(argv, stage="s", name="n", timeout_seconds=60, environment=environment)
    assert finished.tail == seen


def test_a_program_beside_is_read_line_by_line_and_killed_at_the_end(tmp_path) -> None:
    script = "echo one; echo two; exec sleep 60"
    with process.logging_to(tmp_path), process.beside(("sh", "-c", script), stage="s", name="beside") as other:
        assert (other.read_line(), other.read_line(), other.has_ended()) == ("one\n", "two\n", False)
    assert (tmp_path / "beside.log").read_text() == "one\ntwo\n"


def test_a_program_beside_that_ends_is_known_to_have_ended(tmp_path) -> None:
    with process.logging_to(tmp_path), process.beside(("true",), stage="s", name="beside") as other:
        assert other.read_line() == ""
        for _ in range(100):
            if other.has_ended():
                break
            time.sleep(0.02)
        assert other.has_ended()

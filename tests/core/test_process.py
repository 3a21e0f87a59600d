"""The one place that starts a program, tried on small real programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import runner
from runner.core import Command, Finished, ToolError, process


@pytest.fixture(autouse=True)
def _quick_and_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.5)
    with process.logging_to(tmp_path / "logs"):
        yield


def python(code: str, *arguments: str, timeout_seconds: float = 20) -> Finished:
    argv = [sys.executable, "-c", code, *arguments]
    return process.run(argv, stage="compile", name="child", timeout_seconds=timeout_seconds)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


FORK_A_SLEEPER = """
import os, sys, time
from pathlib import Path
if os.fork() == 0:
    {prepare}
    time.sleep(600)
    os._exit(0)
time.sleep(0.2)
"""


def fork_a_sleeper(pid_file: Path, prepare: str = "", end: str = "") -> str:
    prepare = f"Path({str(pid_file)!r}).write_text(str(os.getpid())); {prepare}"
    return FORK_A_SLEEPER.format(prepare=prepare) + end


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


def test_a_program_that_hangs_is_ended_after_the_time_out() -> None:
    started = time.monotonic()

    with pytest.raises(ToolError, match=r"(?s)after 0\.5 seconds.*child\.log.*\| before") as error:
        python("import time; print('before', flush=True); time.sleep(600)", timeout_seconds=0.5)

    assert time.monotonic() - started < 5
    assert "timeout_seconds" in error.value.fix


def test_a_program_that_ignores_sigterm_is_killed_after_the_grace() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    started = time.monotonic()

    with pytest.raises(ToolError, match="still running after"):
        python(code, timeout_seconds=0.5)

    assert 0.9 < time.monotonic() - started < 5


def test_a_program_that_prints_without_end_is_ended_after_the_time_out() -> None:
    with pytest.raises(ToolError, match="still running after"):
        python("while True: print('x' * 1000)", timeout_seconds=0.5)


def test_a_program_that_closes_its_output_is_still_timed() -> None:
    with pytest.raises(ToolError, match="still running after"):
        python("import os, time; os.close(1); os.close(2); time.sleep(600)", timeout_seconds=0.5)


def test_what_a_hanging_program_forked_is_killed_with_it(tmp_path: Path) -> None:
    code = fork_a_sleeper(tmp_path / "pid", "import signal; signal.signal(15, signal.SIG_IGN)", "time.sleep(600)")

    with pytest.raises(ToolError, match="still running after"):
        python(code, timeout_seconds=1)

    assert gone(int((tmp_path / "pid").read_text()))


def test_children_left_behind_are_killed_and_their_pipe_is_not_waited_for(tmp_path: Path) -> None:
    started = time.monotonic()

    finished = python(fork_a_sleeper(tmp_path / "pid", end="print('done')"))

    assert finished.returncode == 0
    assert finished.tail == "done"
    assert time.monotonic() - started < 5
    assert gone(int((tmp_path / "pid").read_text()))


LEAVING = {
    "its group": "os.setpgid(0, 0)",
    "its session": "os.setsid()",
    "its parent": "os.setsid(); os._exit(0) if os.fork() else None",
    "the program's variables": "os.setsid(); os.execve(sys.executable, [sys.executable, '-c', 'import time; "
    "time.sleep(600)'], {'RUNNER_FAMILY': os.environ['RUNNER_FAMILY']})",
    "all pipes": "os.setsid(); os.close(0); os.close(1); os.close(2)",
}


@pytest.mark.parametrize("how", LEAVING.values(), ids=LEAVING)
@pytest.mark.parametrize("hangs", [False, True], ids=["ends", "hangs"])
def test_a_child_that_left_is_killed_too(how: str, hangs: bool, tmp_path: Path) -> None:
    fork = fork_a_sleeper(tmp_path / "first", f"{how}; Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))")
    if "execve" in how:
        fork = fork_a_sleeper(tmp_path / "pid", how)
    started = time.monotonic()

    if hangs:
        with pytest.raises(ToolError, match="still running after"):
            python(fork + "time.sleep(600)", timeout_seconds=1)
    else:
        assert python(fork + "print('done')").tail == "done"

    assert time.monotonic() - started < 5
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_child_that_cleared_its_variables_is_killed_with_a_program_that_hangs(tmp_path: Path) -> None:
    clearing = "os.setsid(); os.execve(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)'], {})"

    with pytest.raises(ToolError, match="still running after"):
        python(fork_a_sleeper(tmp_path / "pid", clearing, "time.sleep(600)"), timeout_seconds=1)

    assert gone(int((tmp_path / "pid").read_text()))


def test_what_a_child_goes_on_starting_while_it_is_hunted_is_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    spawning = (
        "import subprocess; os.setsid()\n"
        f"    for number in range(30):\n        child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        f"        Path({str(pids)!r}, str(child.pid)).touch(); time.sleep(0.02)"
    )
    python(fork_a_sleeper(tmp_path / "pid", spawning, "print('done')"))

    assert gone(int((tmp_path / "pid").read_text()))
    assert all(gone(int(path.name)) for path in pids.iterdir())


def test_other_programs_of_the_same_runner_are_left_alone() -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as other:
        try:
            python("print('done')")
            assert is_running(other.pid)
        finally:
            other.kill()


def test_a_runner_inside_a_program_hides_nothing_of_what_it_starts(tmp_path: Path) -> None:
    inner = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    outer = (
        "import os, signal, sys, threading; from runner.core import process\n"
        "threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()\n"
        f"process.run([sys.executable, '-c', {inner!r}], stage='x', name='inner', timeout_seconds=600)"
    )

    with pytest.raises(ToolError, match="killed by SIGKILL"):
        python(outer)

    assert gone(int((tmp_path / "pid").read_text()))


def children() -> set[str]:
    """The ids of this process's children."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.mark.parametrize("how", ["", "os.setsid()"], ids=["stays", "leaves its session"])
def test_what_a_killed_runner_had_started_dies_with_it(how: str, tmp_path: Path) -> None:
    code = fork_a_sleeper(tmp_path / "pid", how, "time.sleep(600)")
    started = f"process.run([sys.executable, '-c', {code!r}], stage='x', name='x', timeout_seconds=600)"
    runner = subprocess.Popen([sys.executable, "-c", f"import sys; from runner.core import process; {started}"])
    deadline = time.monotonic() + 30
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert runner.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)

    runner.kill()

    runner.wait(timeout=30)
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 30
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(pid)


def test_no_guard_is_left_behind() -> None:
    before = children()
    python("print('done')")
    with pytest.raises(ToolError, match="cannot start nowhere"):
        process.run(["nowhere"], stage="x", name="x", timeout_seconds=1)
    assert children() == before


def test_a_long_output_keeps_its_beginning_and_its_end_in_a_bounded_log(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import sys
sys.stdout.buffer.write(b"first\\n")
for _ in range(200):
    sys.stdout.buffer.write(bytes(range(256)) * 4096)
sys.stdout.buffer.write(b"\\nlast\\n")
"""
    finished = python(code, timeout_seconds=60)

    assert finished.log.stat().st_size <= process.LOG_HEAD_BYTES + process.LOG_TAIL_BYTES + 100
    content = finished.log.read_bytes()
    assert content.startswith(b"first\n")
    assert content.endswith(b"\nlast\n")
    assert b" bytes cut here by the runner" in content
    assert finished.tail.endswith("last")
    assert len(finished.tail) <= process.TAIL_BYTES


def test_an_output_that_fits_is_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_HEAD_BYTES", 1000)
    monkeypatch.setattr(process, "LOG_TAIL_BYTES", 1000)

    finished = python("import sys; sys.stdout.write('x' * 1000 + 'y' * 1000)")

    assert finished.log.read_text() == "x" * 1000 + "y" * 1000


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert python(r"import sys; sys.stdout.buffer.write(b'\xff\xfeok')").tail.endswith("ok")


def test_the_tail_is_the_last_lines() -> None:
    finished = python("for number in range(100): print(number)")

    assert finished.tail.splitlines() == [str(number) for number in range(60, 100)]


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

    assert process.FAMILY not in process.sourced(tmp_path / "set_env.sh")


def test_an_argument_with_a_nul_is_refused() -> None:
    with pytest.raises(ToolError, match="NUL"):
        process.run(["true", "a\0b"], stage="x", name="x", timeout_seconds=1)


def test_an_empty_command_line_is_refused() -> None:
    with pytest.raises(ToolError, match="no program"):
        process.run([], stage="x", name="x", timeout_seconds=1)


def test_an_interrupt_kills_the_group_and_goes_on(tmp_path: Path) -> None:
    code = fork_a_sleeper(tmp_path / "pid", end="time.sleep(600)")
    interrupt = threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT))
    interrupt.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            python(code)
    finally:
        interrupt.cancel()

    assert gone(int((tmp_path / "pid").read_text()))


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

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from runner.core import ToolError, process
from tests.core.programs import python

pytestmark = pytest.mark.usefixtures("quick_programs")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pid: int, within_seconds: float = 5) -> bool:
    deadline = time.monotonic() + within_seconds
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
    assert gone(int((tmp_path / "pid").read_text()), within_seconds=30)


def test_no_guard_is_left_behind() -> None:
    before = children()
    python("print('done')")
    with pytest.raises(ToolError, match="cannot start nowhere"):
        process.run(["nowhere"], stage="x", name="x", timeout_seconds=1)
    assert children() == before


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

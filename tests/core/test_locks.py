import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from runner.core import locks

HOLDING = """
import sys
from contextlib import nullcontext
from pathlib import Path
from runner.core import locks
with locks.held(Path(sys.argv[1]), "pid 7 on node1", lambda other: nullcontext(), is_shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(path: Path, kind: str = "alone") -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock until its standard input is closed."""
    command = [sys.executable, "-c", HOLDING, path, kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.stdin.close()


def waits(path: Path, ends: subprocess.Popen[bytes] | None = None, is_shared: bool = False) -> list[str]:
    """Take the lock; return whom it waited for, each of whom `ends` when waited for."""
    told = []

    @contextmanager
    def wait(holder: str) -> Iterator[None]:
        told.append(holder)
        if ends is not None:
            ends.stdin.close()
        yield

    with locks.held(path, "me", wait, is_shared=is_shared):
        pass
    return told


def test_a_free_lock_is_not_waited_for(tmp_path) -> None:
    assert waits(tmp_path / "a.lock") == []


def test_who_waits_is_told_who_holds_the_lock(tmp_path) -> None:
    with another_process(tmp_path / "a.lock") as process:
        assert waits(tmp_path / "a.lock", process) == ["pid 7 on node1"]


def test_a_shared_lock_is_shared(tmp_path) -> None:
    with another_process(tmp_path / "a.lock", "shared"):
        assert waits(tmp_path / "a.lock", is_shared=True) == []


@pytest.mark.parametrize(("theirs", "is_shared"), [("shared", False), ("alone", True)])
def test_a_lock_is_not_shared_with_one_who_holds_it_alone(tmp_path, theirs, is_shared) -> None:
    with another_process(tmp_path / "a.lock", theirs) as process:
        assert waits(tmp_path / "a.lock", process, is_shared) == ["pid 7 on node1"]


def test_the_kernel_frees_the_lock_of_a_killed_process(tmp_path) -> None:
    with another_process(tmp_path / "a.lock") as process:
        process.kill()
        process.wait()
        assert waits(tmp_path / "a.lock") == []


def test_another_users_lock_can_be_taken_whatever_the_umask_is(tmp_path) -> None:
    before = os.umask(0o077)
    try:
        waits(tmp_path / "a.lock")
    finally:
        os.umask(before)
    assert (tmp_path / "a.lock").stat().st_mode & 0o777 == 0o666


def test_a_link_is_not_followed_so_that_nobody_has_a_file_of_theirs_overwritten(tmp_path) -> None:
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "a.lock").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic"), locks.held(tmp_path / "a.lock", "me", lambda other: nullcontext()):
        pass
    assert (tmp_path / "mine").read_text() == "precious"


def test_what_a_holder_wrote_is_shown_as_one_short_line(tmp_path) -> None:
    path = tmp_path / "a.lock"
    with another_process(path) as process:
        path.write_bytes(b"\x1b[31mred\nline " + 1000 * b"x")
        (told,) = waits(path, process)
    assert told.startswith("[31mredline xx") and len(told) < 201

"""Locks of another host's devices: an sshd on 127.0.0.1, whose locks lie where a run of this host has its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runner import measure
from runner.core import Placement, ToolError, Waits, counted_by, locks
from runner.tools import remote_lock
from runner.tools.ssh import Host

BOARD = Host("board")
CARD = Placement(soc="310P3", kind="ascend", devices=(0,))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "locks"
    path.mkdir()
    monkeypatch.setenv("MODEL_ZOO_LOCKS", str(path))
    return path


@pytest.fixture
def there(folder, board) -> Path:
    """The folder of the board's locks."""
    return folder


def is_free(lock: Path) -> bool:
    file = locks.try_alone(lock)
    if file is not None:
        file.close()
    return file is not None


def told_while(lock_is_shared: bool, use: Callable[[], None]) -> list[str]:
    """What is told by `use` while a run on the board itself uses the device, which ends at the first word."""
    held, over = threading.Event(), threading.Event()
    told: list[str] = []

    def run_there() -> None:
        with measure.using_devices(CARD, "benchmark", is_shared=lock_is_shared):
            held.set()
            over.wait(20)

    def notify(text: str) -> None:
        told.append(text)
        over.set()

    thread = threading.Thread(target=run_there)
    thread.start()
    held.wait(5)
    with counted_by(Waits(notify)):
        use()
    over.set()
    thread.join()
    return told


def test_a_device_is_locked_there_while_the_block_lasts(there) -> None:
    lock = there / "model-zoo-runner-ascend-0.lock"
    with remote_lock.using_devices(BOARD, CARD, "benchmark", is_shared=False):
        assert not is_free(lock)
        assert lock.read_text().startswith("pid ")
        assert ", benchmark, since " in lock.read_text()
    with measure.using_devices(CARD, "infer", is_shared=False):  # waits until the process there has ended
        pass


def test_a_run_there_is_waited_for_by_name(there) -> None:
    def use() -> None:
        with remote_lock.using_devices(BOARD, CARD, "benchmark", is_shared=False):
            pass

    first, second = told_while(False, use)
    assert first.startswith("waiting for device 0 (310P3) on board: pid ")
    assert ", benchmark, since " in first
    assert second.endswith("which count for no stage")


def test_inference_is_shared_with_inference_there(there) -> None:
    def use() -> None:
        with remote_lock.using_devices(BOARD, CARD, "infer", is_shared=True):
            pass

    assert told_while(True, use) == []


def test_all_devices_are_locked(there) -> None:
    two = Placement(soc="310P3", kind="ascend", devices=(1, 0))
    with remote_lock.using_devices(BOARD, two, "benchmark", is_shared=False):
        assert [is_free(path) for path in sorted(there.iterdir())] == [False, False]


def test_a_lock_that_is_no_file_is_refused(there) -> None:
    (there / "model-zoo-runner-ascend-0.lock").symlink_to(there / "elsewhere")
    with (
        pytest.raises(ToolError, match=r"^the lock of a device on board cannot be used") as caught,
        remote_lock.using_devices(BOARD, CARD, "benchmark", is_shared=False),
    ):
        pass
    assert "MODEL_ZOO_LOCKS" in caught.value.fix
    assert not (there / "elsewhere").exists()


def test_a_line_that_breaks_is_told_at_the_end_of_the_block(there, board) -> None:
    with (
        pytest.raises(ToolError, match="the connection to board was lost: so the lock"),
        remote_lock.using_devices(BOARD, CARD, "benchmark", is_shared=False),
    ):
        board.hang_up()
        with measure.using_devices(CARD, "benchmark", is_shared=False):  # as anyone may now
            pass


def test_no_connection_is_told_as_such(there, tmp_path) -> None:
    (tmp_path / "ssh" / "known_hosts").write_text("")
    with (
        pytest.raises(ToolError, match=r"no connection to board: .*Host key verification failed"),
        remote_lock.using_devices(BOARD, CARD, "benchmark", is_shared=False),
    ):
        pass

import os
import re
import socket
import threading
from functools import partial
from pathlib import Path

import pytest

from runner.core import Placement, StoreError, Waits, counted_by
from runner.measure import using_devices

CARD = Placement(soc="310P3", kind="ascend", devices=(0,))
alone = partial(using_devices, is_shared=False)
beside_others = partial(using_devices, is_shared=True)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MODEL_ZOO_LOCKS", str(tmp_path))
    return tmp_path


def waited(enter, placement: Placement = CARD) -> tuple[list[str], float]:
    """Use the devices while another thread uses CARD alone; return what is told, and how long it waited."""
    told = []
    held, over = threading.Event(), threading.Event()

    def use() -> None:
        with alone(CARD, "benchmark"):
            held.set()
            over.wait(5)

    thread = threading.Thread(target=use)
    thread.start()
    held.wait(5)

    def notify(text: str) -> None:
        told.append(text)
        threading.Timer(0.05, over.set).start()

    waits = Waits(notify)
    with counted_by(waits), enter(placement, "infer"):
        over.set()
    thread.join()
    return told, waits.seconds


def test_inference_waits_for_a_measurement_and_says_for_whom() -> None:
    told, seconds = waited(beside_others)
    who = rf"pid {os.getpid()} on {re.escape(socket.gethostname())}, benchmark, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.match(rf"waiting for device 0 \(310P3\): {who}", told[0])
    assert seconds >= 0.04


def test_how_long_it_waited_is_told() -> None:
    told, _ = waited(alone)
    assert re.fullmatch(r"waited \d+\.\d s, which count for no stage", told[1])


def test_another_device_is_not_waited_for() -> None:
    assert waited(alone, Placement(soc="310P3", kind="ascend", devices=(1,))) == ([], 0.0)


def test_one_of_several_devices_is_waited_for() -> None:
    told, _ = waited(alone, Placement(soc="310P3", kind="ascend", devices=(1, 0)))
    assert len(told) == 2


def test_two_inferences_do_not_wait_for_each_other() -> None:
    waits = Waits(pytest.fail)
    with counted_by(waits), beside_others(CARD, "infer"), beside_others(CARD, "infer"):
        pass


def test_the_locks_lie_where_the_environment_says(folder) -> None:
    with alone(CARD, "benchmark"):
        assert [path.name for path in folder.iterdir()] == ["model-zoo-runner-ascend-0.lock"]


def test_a_folder_that_is_not_there_is_told(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("MODEL_ZOO_LOCKS", str(tmp_path / "absent"))
    with pytest.raises(StoreError, match=r"device 0 \(310P3\).*absent") as caught, alone(CARD, "benchmark"):
        pass
    assert "MODEL_ZOO_LOCKS" in caught.value.fix

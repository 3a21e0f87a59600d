"""SIGTERM and SIGHUP end a run as Ctrl-C does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.core import signals

pytestmark = pytest.mark.slow

WAITING = """
import sys
from dataclasses import dataclass

from runner.core import process
from runner.tools import Measuring


@dataclass(frozen=True)
class Waiting:
    '''A tool whose program never ends.'''

    def version(self): return "waiting 1"
    def excluded_from_key(self, stage): return ()
    def validate(self, placement, inputs): return []
    def measuring(self): return Measuring(takes_inputs=True, in_process=True)
    def commands(self, paths, placement, limits): return []

    def infer(self, model, placement, batches, work):
        code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
        process.run([sys.executable, "-c", code, "pid"], stage="infer", name="waiting", timeout_seconds=600)

    def measure(self, model, placement, inputs, limits, work): raise NotImplementedError
"""


@pytest.fixture
def _signals_end_a_process() -> Iterator[None]:
    """What this process does on SIGTERM and SIGHUP, its children too, is the default: nohup lets it ignore SIGHUP."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.usefixtures("_signals_end_a_process")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_run_and_what_it_started(number: int, tiny_zoo: Path, tiny_arguments: list[str]) -> None:
    (tiny_zoo / "tiny_zoo" / "tool.py").write_text(WAITING)
    (tiny_zoo / "conf" / "tool").mkdir()
    described = "name: waiting\nserves: [cpu]\nadapter: {_target_: tiny_zoo.tool.Waiting}\n"
    (tiny_zoo / "conf" / "tool" / "waiting.yaml").write_text(described)
    command = [sys.executable, "-m", "runner", "--config-dir", "conf", "weights=random", "allow=[tiny_zoo]"]
    command += [
        *tiny_arguments,
        "tool=waiting",
        "stages=[infer]",
    ]
    with subprocess.Popen(command, cwd=tiny_zoo, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as runner:
        try:
            child = await_pid(tiny_zoo / "pid", runner)
            runner.send_signal(number)
            _, told = runner.communicate(timeout=30)
        finally:
            runner.kill()

    assert runner.returncode == 1
    assert f"terminated by {signal.Signals(number).name}; run the same command again to go on" in told
    assert "Traceback" not in told
    deadline = time.monotonic() + 5
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(child)
    found = json.loads((tiny_zoo / "out" / "result.json").read_text())
    assert (found["status"], found["error"]["stage"]) == ("failed", "infer")
    assert found["error"]["message"] == f"terminated by {signal.Signals(number).name}"
    assert {stage["name"]: stage["status"] for stage in found["stages"]}["prepare"] == "ran"


def await_pid(path: Path, runner: subprocess.Popen) -> int:
    deadline = time.monotonic() + 100
    while not (path.exists() and path.read_text()):
        assert runner.poll() is None, runner.communicate(timeout=30)
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(path.read_text())


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.ending_the_run():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_signals_end_a_process")
def test_a_second_signal_does_not_break_off_the_ending() -> None:
    ended = False
    with pytest.raises(signals.Terminated, match="terminated by SIGTERM"), signals.ending_the_run():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            ended = True
    assert ended


@pytest.mark.usefixtures("_signals_end_a_process")
def test_afterwards_the_signals_are_what_they_were() -> None:
    with signals.ending_the_run(), signals.ending_the_run():
        pass
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

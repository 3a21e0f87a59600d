"""The processes that an external program starts, at any depth: found, and killed when the program ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from runner.core.process_output import BoundedLog, read_rest, read_until

GRACE_SECONDS = 5.0
"""Time between SIGTERM and SIGKILL."""
FAMILY = "RUNNER_FAMILY"
"""Environment variable that marks all descendants of a program: the ids of the programs above it."""
_HUNTS = 20
"""Maximum rounds of killing known descendants and looking for new ones."""


def has_exited(process: subprocess.Popen[bytes]) -> bool:
    """Return whether the program has ended, without reaping it, so that its process id is not reused."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end_all(process: subprocess.Popen[bytes], family: str, pipe: IO[bytes], log: BoundedLog) -> None:
    """Kill the program and its descendants, and read their remaining output."""
    strays = _strays(process.pid, family, {})  # before its children lose their parent
    if not has_exited(process):
        _signal_group(process.pid, signal.SIGTERM)
        read_until(pipe, log, lambda: has_exited(process), time.monotonic() + GRACE_SECONDS)
    _signal_group(process.pid, signal.SIGKILL)
    for _ in range(_HUNTS):
        strays = _strays(process.pid, family, strays)
        if not strays:
            break
        for pid in strays:
            _kill(pid)
    process.wait()
    read_rest(pipe, log)


def _strays(leader: int, family: str, known: Mapping[int, bytes]) -> dict[int, bytes]:
    """Return the running descendants of a program in any group or session, with their start times.

    They are identified by the inherited variable or, if they cleared it, by their parents, or by being `known` from
    an earlier call. Empty if there is no /proc.
    """
    parents: dict[int, int] = {}
    began: dict[int, bytes] = {}
    members = {leader}
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        with suppress(OSError):  # it ended meanwhile, or is another user's
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()  # state, parent, ...; man 5 proc
            if fields[0] in b"ZX":
                continue
            parents[pid], began[pid] = int(fields[1]), fields[19]
            if known.get(pid) == began[pid] or family.encode() in (folder / "environ").read_bytes():
                members.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in members} - members:
        members |= more
    return {pid: began[pid] for pid in members - {leader, os.getpid()}}


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)

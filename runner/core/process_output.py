"""The output of an external program: copied while the program runs, and kept in a log of limited size."""

from __future__ import annotations

import os
import selectors
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import IO

LOG_HEAD_BYTES = 56 << 20
LOG_TAIL_BYTES = 8 << 20
"""How much of the beginning and of the end of a long output a log keeps."""
TAIL_LINES = 40
TAIL_BYTES = 16 << 10
"""Limits of `Finished.tail`: the number of last lines and of bytes."""

_POLL_SECONDS = 0.05
_DRAIN_SECONDS = 1.0
_BLOCK_BYTES = 1 << 18


class BoundedLog:
    """A log of limited size: the first LOG_HEAD_BYTES are written at once, the last LOG_TAIL_BYTES at the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._head_bytes = 0
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._cut_bytes = 0
        self._last = b""

    def write(self, block: bytes) -> None:
        """Write a block at once, or keep it while it may belong to the tail."""
        self._last = (self._last + block[-TAIL_BYTES:])[-TAIL_BYTES:]
        room = LOG_HEAD_BYTES - self._head_bytes
        head, rest = block[:room], block[room:]
        if head:
            self._file.write(head)
            self._file.flush()
            self._head_bytes += len(head)
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        while self._tail_bytes > LOG_TAIL_BYTES:
            dropped = len(self._tail.popleft())
            self._tail_bytes -= dropped
            self._cut_bytes += dropped

    def finish(self) -> str:
        """Write the tail and return the last lines as text."""
        if self._cut_bytes:
            self._file.write(f"\n[... {self._cut_bytes} bytes cut here by the runner ...]\n".encode())
        self._file.writelines(self._tail)
        self._file.flush()
        return "\n".join(self._last.decode(errors="replace").splitlines()[-TAIL_LINES:])


def read_until(pipe: IO[bytes], log: BoundedLog, done: Callable[[], bool], deadline: float) -> bool:
    """Copy output to the log until `done()` (return True) or the deadline on the monotonic clock (False)."""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        open_for_writing = True
        while not done():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            wait = min(remaining, _POLL_SECONDS)
            if not open_for_writing:
                time.sleep(min(wait, 0.005))
            elif selector.select(wait):
                block = os.read(pipe.fileno(), _BLOCK_BYTES)
                log.write(block)
                open_for_writing = bool(block)
    return True


def read_rest(pipe: IO[bytes], log: BoundedLog) -> None:
    """Copy what is left, without waiting for the end: a process that cannot be killed may keep the pipe open."""
    os.set_blocking(pipe.fileno(), False)
    deadline = time.monotonic() + _DRAIN_SECONDS
    with suppress(BlockingIOError):
        while (block := os.read(pipe.fileno(), _BLOCK_BYTES)) and time.monotonic() < deadline:
            log.write(block)

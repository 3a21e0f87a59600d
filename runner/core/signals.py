"""SIGTERM and SIGHUP end a run as Ctrl-C does: child processes are killed, finished results kept and reported."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Terminated(KeyboardInterrupt):
    """A termination signal was received; the message names it."""


def description(error: KeyboardInterrupt) -> str:
    """Return a short description of the interruption."""
    return str(error) or "interrupted"


@contextmanager
def ending_the_run() -> Iterator[None]:
    """Raise Terminated on signals that would end this process at once; ignored ones stay ignored."""
    if threading.current_thread() is not threading.main_thread():  # Python sets handlers in the main thread only
        yield
        return
    replaced = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in replaced:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)  # a second signal must not interrupt the shutdown
    raise Terminated(f"terminated by {signal.Signals(number).name}")

"""SIGTERM and SIGHUP end a run as Ctrl-C does: what it started is killed, what is done is kept and told."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Terminated(KeyboardInterrupt):
    """A signal asked the runner to end; its text says which."""


def told(error: KeyboardInterrupt) -> str:
    """What happened, in a few words."""
    return str(error) or "interrupted"


@contextmanager
def ending_the_run() -> Iterator[None]:
    """Raise Terminated where the signals would end this process at once; those that it ignores stay ignored."""
    if threading.current_thread() is not threading.main_thread():  # where Python sets no handlers
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
        signal.signal(each, signal.SIG_IGN)  # a second one must not break off what the first one has begun
    raise Terminated(f"terminated by {signal.Signals(number).name}")

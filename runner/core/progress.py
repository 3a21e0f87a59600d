"""Live progress: one line per stage on a terminal, plain lines elsewhere; and waiting, which is told and counted.

Stage functions wrap their loops in `track`, and what they wait for in `waiting`; `runner.pipeline.execute` decides how
it is displayed, if at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Advance = Callable[[float], None]
Start = Callable[[str, "float | None", str], "tuple[Advance, Callable[[], None]]"]

_display: ContextVar[Start | None] = ContextVar("display", default=None)


@contextmanager
def shown_by(start: Start) -> Iterator[None]:
    """Display the work tracked in the block with `start(description, total, unit) -> (advance, finish)`."""
    token = _display.set(start)
    try:
        yield
    finally:
        _display.reset(token)


@contextmanager
def track(description: str, total: float | None, unit: str) -> Iterator[Advance]:
    """Track the progress of some work; yield a function that adds finished `unit`s."""
    start = _display.get()
    if start is None:
        yield lambda done: None
        return
    advance, finish = start(description, total, unit)
    try:
        yield advance
    finally:
        finish()


@dataclass
class Waits:
    """The seconds that a stage has waited without working, each wait told by `notify(text)` as it begins and ends."""

    notify: Callable[[str], None]
    seconds: float = 0.0


_waits: ContextVar[Waits | None] = ContextVar("waits", default=None)


@contextmanager
def counted_by(waits: Waits) -> Iterator[None]:
    """Tell and count the waits in the block."""
    token = _waits.set(waits)
    try:
        yield
    finally:
        _waits.reset(token)


@contextmanager
def waiting(reason: str) -> Iterator[None]:
    """Tell and count a wait, which lasts as long as the block; `reason` begins with "for"."""
    waits = _waits.get()
    if waits is None:
        yield
        return
    waits.notify(f"waiting {reason}")
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - start
        waits.seconds += seconds
        waits.notify(f"waited {seconds:.1f} s, which count for no stage")

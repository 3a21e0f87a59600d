"""Live progress: one line per stage on a terminal, plain lines elsewhere.

Stage functions wrap their loops in `track`; `runner.pipeline.execute` decides how it is displayed, if at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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

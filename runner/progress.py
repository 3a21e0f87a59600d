"""Live progress: one line a stage on a terminal, plain lines elsewhere, nothing to pass around.

Stage functions wrap their loops in `track`; who shows it, and whether, is set by `runner.execute`.
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
    """Let `start(description, total, unit) -> (advance, finish)` show what is tracked inside."""
    token = _display.set(start)
    try:
        yield
    finally:
        _display.reset(token)


@contextmanager
def track(description: str, total: float | None, unit: str) -> Iterator[Advance]:
    """Track a piece of work; yields a function that takes how much more is done, in `unit`s."""
    start = _display.get()
    if start is None:
        yield lambda done: None
        return
    advance, finish = start(description, total, unit)
    try:
        yield advance
    finally:
        finish()

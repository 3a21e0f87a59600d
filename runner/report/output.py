"""Standard output and error as they are outside: read by `head`, or unable to show a character."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runner.errors import RunnerError


@contextmanager
def forgiving() -> Iterator[None]:
    """Characters that cannot be shown become escapes, and a reader that leaves ends the block without an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again as it exits


def exit_code_of(command: Callable[[], int | None], failed: int = 1) -> int:
    """Run a command and return its exit code, 0 for None; `failed` where it fails, after its error is told."""
    code: int | None = 0
    with forgiving():
        try:
            code = command()
        except RunnerError as error:
            print(f"error: {error}", file=sys.stderr)
            code = failed
    return code or 0

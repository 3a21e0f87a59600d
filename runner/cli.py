"""Shared by the commands: argument errors as ConfigError, and output that survives closed pipes and odd encodings."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from runner.core import ConfigError, RunnerError


class Parser(argparse.ArgumentParser):
    """An argument parser that raises ConfigError instead of exiting."""

    def error(self, message: str) -> NoReturn:
        """Raise the message that argparse would print."""
        raise ConfigError(message, f"see {self.prog} --help")


@contextmanager
def forgiving() -> Iterator[None]:
    """Escape characters that the terminal cannot show, and end the block without an error on a closed pipe."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python reports the error again at exit


def exit_code_of(command: Callable[[], int | None], failed: int = 1) -> int:
    """Run a command and return its exit code (0 for None), or `failed` after printing its error."""
    code: int | None = 0
    with forgiving():
        try:
            code = command()
        except RunnerError as error:
            print(f"error: {error}", file=sys.stderr)
            code = failed
    return code or 0

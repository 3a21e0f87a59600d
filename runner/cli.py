"""Shared by the commands: exit codes, argument errors, and output to closed pipes, full disks and odd encodings."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from runner.core import ConfigError, RunnerError, StoreError, visible


class Parser(argparse.ArgumentParser):
    """An argument parser that raises ConfigError instead of exiting."""

    def error(self, message: str) -> NoReturn:
        """Raise the message that argparse would print."""
        raise ConfigError(message, f"see {self.prog} --help")


@contextmanager
def forgiving() -> Iterator[None]:
    """Escape characters that the terminal cannot show, and end the block without an error on a closed pipe.

    In the block, printing what cannot be written, as on a full disk, raises a StoreError.
    """
    streams = {name: stream for name in ("stdout", "stderr") if (stream := getattr(sys, name)) is not None}
    for name, stream in streams.items():
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        for method in ("write", "flush"):
            setattr(stream, method, _naming(name, getattr(stream, method)))
    try:
        yield
    except BrokenPipeError:
        pass
    finally:
        for stream in streams.values():
            for method in ("write", "flush"):
                vars(stream).pop(method, None)
            try:
                stream.flush()
            except OSError:  # what is left in the buffer goes nowhere, or Python reports the error again at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _naming(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of an output stream whose errors name the stream: an OSError that names no file blames others."""

    def call(*arguments: Any) -> Any:
        try:
            return method(*arguments)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StoreError(
                f"{name} cannot be written: {error.strerror}", "redirect it to where there is room"
            ) from error

    return call


def exit_code_of(command: Callable[[], int | None], failed: int = 1) -> int:
    """Run a command and return its exit code (0 for None), or `failed` after printing its error.

    SystemExit, as argparse raises it, becomes `failed` unless it is 0: 2 is the code of a verdict.
    """
    code: int | None = 0
    with forgiving():
        try:
            code = command()
            if not code:
                print(end="", flush=True)  # what is left may not find room
        except RunnerError as error:
            code = failed
            with suppress(StoreError):  # stderr itself cannot be written
                print(visible(f"error: {error}"), file=sys.stderr)
        except SystemExit as error:
            code = failed if error.code else 0
    return code or 0

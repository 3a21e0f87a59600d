"""Shared by the commands: exit codes, errors, and output to closed pipes, full disks and odd encodings."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from runner.config import hooks
from runner.core import ConfigError, OutOfMemoryError, RunnerError, StoreError, os_errors, signals, visible
from runner.core.errors import text_of

FULL_ERROR = "HYDRA_FULL_ERROR"
"""The environment variable that asks for the traceback of a fault of the runner; Hydra's own."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises ConfigError instead of exiting."""

    def error(self, message: str) -> NoReturn:
        """Raise the message that argparse would print."""
        raise ConfigError(message, f"see {self.prog} --help")


@contextmanager
def forgiving() -> Iterator[None]:
    """Escape characters that the terminal cannot show, and end the block without an error on a closed pipe.

    In the block, printing what cannot be written, as on a full disk, raises a StoreError; what is printed to a stream
    that is closed from the start, as by `>&-`, goes nowhere.
    """
    _open_closed_streams()
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
            except ValueError:  # a hook has closed it
                continue
            except OSError:  # what is left in the buffer goes nowhere, or Python reports the error again at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_closed_streams() -> None:
    """Give closed standard streams to the null device: the next files would get their numbers, and what is printed."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, mode))


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
        except ValueError as error:
            raise StoreError(f"{name} cannot be written: {error}", "let no hook close it") from error

    return call


def exit_code_of(command: Callable[[], int | None], failed: int = 1) -> int:
    """Run a command and return its exit code (0 for None), or `failed` after printing why it ended early.

    That is an error, an interruption, or what a hook did. SystemExit, as argparse raises it, becomes `failed` unless it
    is 0: 2 is the code of a verdict.
    """
    code: int | None = 0
    with forgiving():
        try:
            with hooks.watched(has_log=False), signals.ending_the_run():
                code = command()
            if not code:
                print(end="", flush=True)  # what is left may not find room
        except BrokenPipeError:
            raise
        except KeyboardInterrupt as error:
            code = failed
            _print_error(signals.description(error))
        except SystemExit as error:
            code = failed if error.code else 0
        except Exception as error:
            code = failed
            _print_error(f"error: {_known(error)}")
    return code or 0


def _print_error(text: str) -> None:
    with suppress(StoreError):  # stderr itself cannot be written
        print(visible(text), file=sys.stderr)


def _known(error: Exception) -> RunnerError:
    """Return an error that a user can act on; a fault of the runner is raised where FULL_ERROR asks for that."""
    if isinstance(error, RunnerError):
        return error
    refused = os_errors.of_the_machine(error)
    if refused is not None:
        return os_errors.as_store_error(refused, Path())
    if isinstance(error, MemoryError):
        return OutOfMemoryError("there is not enough memory", "free some, or run on a machine with more (`free -h`)")
    if os.environ.get(FULL_ERROR):
        raise error
    fix = f"this is a fault of the runner: report it with the traceback, which {FULL_ERROR}=1 shows"
    return RunnerError(f"{type(error).__name__}: {text_of(error)}", fix)

"""Execution of external programs: an argv list, a log file, and a timeout that kills the whole process tree.

No command goes through a shell, except in `sourced`: environment scripts are written for bash.
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import runner
from runner.core.artifacts import Command
from runner.core.errors import ToolError
from runner.core.process_output import BoundedLog, read_until
from runner.core.process_tree import FAMILY, end_all, has_exited

SOURCE_TIMEOUT_SECONDS = 60.0

_GUARD = """
while read -r word; do
    [ "$word" = done ] && exit
    group=$word
done
[ -z "$group" ] || kill -s KILL -- "-$group"
for place in $(grep -lsF -- "$1" /proc/[0-9]*/environ); do
    pid=${place#/proc/}
    kill -s KILL "${pid%/environ}"
done
"""

_log_folder: ContextVar[Path | None] = ContextVar("log_folder", default=None)
_record: ContextVar[list[Command] | None] = ContextVar("record", default=None)


@dataclass(frozen=True)
class Finished:
    """A finished program. `tail` is the last lines of stdout and stderr combined, `log` the file with all of them."""

    argv: tuple[str, ...]
    returncode: int
    seconds: float
    log: Path
    tail: str


@dataclass(frozen=True)
class Beside:
    """A program that runs beside this one: `read_line` waits for its next line, and returns "" when it has ended."""

    read_line: Callable[[], str]
    has_ended: Callable[[], bool]


@contextmanager
def logging_to(folder: Path) -> Iterator[None]:
    """Write the logs of programs started in the block to `folder`, created when the first one starts."""
    token = _log_folder.set(folder)
    try:
        yield
    finally:
        _log_folder.reset(token)


@contextmanager
def recording() -> Iterator[list[Command]]:
    """Yield a list that collects the stage and command line of every program that `run` starts in the block."""
    record: list[Command] = []
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)


def found(program: str, environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the path of `program` on the PATH of `environment` (default: this process's), or None."""
    path = None if environment is None else environment.get("PATH", os.defpath)
    place = shutil.which(program, path=path)
    return None if place is None else Path(place)


def run(
    argv: Sequence[str],
    *,
    stage: str,
    name: str,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: Path | None = None,
) -> Finished:
    """Run a program to completion, with a file or nothing as stdin and its output in `<log folder>/<name>.log`.

    Afterwards all processes that it left running are killed: its process group, and on Linux also those that left the
    group. A nonzero exit status is returned, for the adapter to interpret. `environment` replaces this process's,
    including PATH.

    Raises:
        ToolError: it cannot be started, it ran longer than `timeout_seconds`, or a signal killed it.
    """
    command = tuple(argv)
    with _recorded_log(command, cwd, stage, name) as file:
        return _run_to_end(command, timeout_seconds, environment, cwd, file, stdin)


@contextmanager
def beside(argv: Sequence[str], *, stage: str, name: str) -> Iterator[Beside]:
    """Run a program without input while the block lasts; afterwards it and all that it started are killed.

    Its output goes to `<log folder>/<name>.log`, as that of `run`.

    Raises:
        ToolError: it cannot be started.
    """
    command = tuple(argv)
    with _recorded_log(command, None, stage, name) as file:
        log = BoundedLog(file)
        try:
            with _running(command, None, None, log, None) as (process, pipe):

                def read_line() -> str:
                    line = pipe.readline()
                    log.write(line)
                    return line.decode(errors="replace")

                yield Beside(read_line, lambda: has_exited(process))
        finally:
            log.finish()


def sourced(script: Path) -> dict[str, str]:
    """Return the environment after `source script` in bash, cached while the script is unchanged.

    Raises:
        ToolError: the script is missing, fails, or hangs.
    """
    try:
        changed_ns = script.stat().st_mtime_ns
    except OSError as error:
        raise ToolError(
            f"cannot read the environment script {script}: {error.strerror}",
            "give the path of the toolkit's set_env.sh",
        ) from error
    return dict(_sourced(script.absolute(), changed_ns))


@functools.lru_cache(maxsize=8)
def _sourced(script: Path, changed_ns: int) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="environment-") as folder:
        # The variables go to a private file, not to a log: they may hold secrets.
        variables = Path(folder) / "variables"
        argv = ("bash", "-c", 'source "$1" && env -0 >"$2"', "bash", str(script), str(variables))
        with _new_log(Path(folder), "source") as file:
            finished = _run_to_end(argv, SOURCE_TIMEOUT_SECONDS, None, None, file)
        if finished.returncode != 0 or not variables.exists():
            raise ToolError(
                f"`source {shlex.quote(str(script))}` failed with exit status {finished.returncode}: "
                f"{finished.tail or 'it says nothing'}",
                "run it by hand in bash, and mend what it complains about",
            )
        entries = os.fsdecode(variables.read_bytes()).split("\0")
    read = dict(entry.split("=", 1) for entry in entries if "=" in entry)
    read.pop(FAMILY, None)
    return read


def _recorded_log(argv: tuple[str, ...], cwd: Path | None, stage: str, name: str) -> IO[bytes]:
    """Check and record a command that is about to start; return the file for its output."""
    _check(argv, cwd)
    record = _record.get()
    if record is not None:
        record.append(Command(stage, argv))
    folder = _log_folder.get() or Path(_temporary_folder().name)
    folder.mkdir(parents=True, exist_ok=True)
    return _new_log(folder, name)


def _check(argv: tuple[str, ...], cwd: Path | None) -> None:
    if not argv or not argv[0]:
        raise ToolError("there is no program to start: the command line is empty", "give the program's name or path")
    for item in argv:
        if "\0" in item:
            raise ToolError(
                f"{argv[0]} cannot be given {item!r}: a NUL byte ends an argument", "take the NUL out of the value"
            )
    if cwd is not None and not cwd.is_dir():
        raise ToolError(f"{argv[0]} cannot start in {cwd}: no such folder", "make the folder first")


@functools.cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for logs of programs started outside a run; it is removed when this process ends."""
    return tempfile.TemporaryDirectory(prefix="runner-logs-")


def _new_log(folder: Path, name: str) -> IO[bytes]:
    number = 1
    while True:
        try:
            return (folder / (f"{name}.log" if number == 1 else f"{name}-{number}.log")).open("xb")
        except FileExistsError:
            number += 1


def _run_to_end(
    argv: tuple[str, ...],
    timeout_seconds: float,
    environment: Mapping[str, str] | None,
    cwd: Path | None,
    file: IO[bytes],
    stdin: Path | None = None,
) -> Finished:
    started = time.monotonic()
    log = BoundedLog(file)
    try:
        with _running(argv, environment, cwd, log, stdin) as (process, pipe):
            timed_out = not read_until(pipe, log, lambda: has_exited(process), started + timeout_seconds)
    finally:
        tail = log.finish()
    seconds = time.monotonic() - started
    place = Path(file.name)
    if timed_out:
        raise ToolError(
            f"{argv[0]} was still running after {timeout_seconds:g} seconds; it and its children were killed. "
            f"Log: {place}{_quoted(tail)}",
            "look into the log for where it hangs, or raise the tool's timeout_seconds",
        )
    if process.returncode < 0:
        raise ToolError(
            f"{argv[0]} was killed by {_signal_name(-process.returncode)} after {seconds:.1f} seconds. "
            f"Log: {place}{_quoted(tail)}",
            _signal_fix(-process.returncode),
        )
    return Finished(argv, process.returncode, seconds, place, tail)


@contextmanager
def _running(
    argv: tuple[str, ...], environment: Mapping[str, str] | None, cwd: Path | None, log: BoundedLog, stdin: Path | None
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start a program; yield it and its output. At the end of the block, it and its descendants are killed."""
    family = f"<{uuid.uuid4().hex}>"
    inherited = _inherited(os.environ if environment is None else environment)
    with _guarded(family) as tell_guard:
        process = _start(argv, {**inherited, FAMILY: os.environ.get(FAMILY, "") + family}, cwd, stdin)
        assert process.stdout is not None
        with process.stdout as pipe:
            try:
                tell_guard(process.pid)
                yield process, pipe
            finally:
                # Also on KeyboardInterrupt: the program has its own session and receives no Ctrl-C.
                end_all(process, family, pipe, log)


def _inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program, in which Python takes no module from the working folder unasked."""
    inherited = dict(environment)
    if "PYTHONPATH" in inherited:
        inherited["PYTHONPATH"] = runner.without_working_folder(inherited["PYTHONPATH"])
    if inherited.get("PYTHONSAFEPATH") == runner.SAFE_PATH:  # a tool's script imports what lies beside it
        del inherited["PYTHONSAFEPATH"]
    return inherited


def _start(
    argv: tuple[str, ...], environment: Mapping[str, str], cwd: Path | None, stdin: Path | None
) -> subprocess.Popen[bytes]:
    try:
        with (stdin or Path(os.devnull)).open("rb") as given:
            return subprocess.Popen(
                argv,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                env=environment,
                cwd=cwd,
                start_new_session=True,
            )
    except OSError as error:
        message = f"cannot start {argv[0]}: {error.strerror or error}"
        raise ToolError(message, _starting_fix(argv[0], environment, error)) from error


@contextmanager
def _guarded(family: str) -> Iterator[Callable[[int], None]]:
    """Start a guard shell that kills the program if this process is killed by SIGKILL and cannot do so itself.

    The shell reads a pipe, which the kernel closes with this process. Yield a function that sends it the process group.
    """
    try:
        guard = subprocess.Popen(
            ("sh", "-c", _GUARD, "sh", family),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"cannot start sh: {error.strerror or error}", _starting_fix("sh", None, error)) from error
    assert guard.stdin is not None
    words = guard.stdin

    def tell(word: object) -> None:
        with suppress(BrokenPipeError):  # someone killed the guard
            words.write(f"{word}\n".encode())

    try:
        yield tell
    finally:
        tell("done")
        words.close()
        guard.wait()


def _starting_fix(program: str, environment: Mapping[str, str] | None, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        place = found(program, environment)
        if place is not None:
            return f"the first line of {place} names an interpreter that is not there; install that"
        return f"install {program}, put it on the PATH, or give its full path"
    if isinstance(error, PermissionError):
        return f"chmod +x {shlex.quote(program)}"
    return f"check that {program} is a program for this machine"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _signal_fix(number: int) -> str:
    if number == signal.SIGKILL:
        return "the kernel may have run out of memory (see dmesg): free some, or take a smaller batch"
    return "look into the log; a crash inside the tool is its vendor's to mend, another version may do"


def _quoted(tail: str) -> str:
    return "".join(f"\n    | {line}" for line in tail.splitlines()[-10:])

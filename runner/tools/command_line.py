"""Shared code of command-line tools: execution, errors with command and log, folders, chips and devices."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from runner.core import Finished, Placement, Problem, ToolError, out_of_memory, process

QUOTED_LINES = 10
"""Maximum lines of a failed tool's output in an error."""
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a tool's JSON raises if it is cut off, of another shape, nested too deep, or a number is too large."""

_ERROR = re.compile(r"\[ERROR\]|\w(Error|Exception)\b|(^|\(|\[)E[0-9A-Z]\d{4}\b|\berror:")

# Hints for messages of the tools, from aclruntime's DeviceManager.cpp and model_process.cpp, and CANN's error codes.
_HINTS = (
    (
        re.compile(r"open device \d+ failed|SetDevice failed", re.IGNORECASE),
        "that device cannot be opened: `npu-smi info` lists those of this host and whether they are busy; device=N",
    ),
    (
        re.compile(r"load model from file failed|load model .*failed|another soc", re.IGNORECASE),
        "the OM is damaged, or built for another SoC than the card's: soc=auto asks npu-smi; force=[compile] redoes it",
    ),
    (
        re.compile(r"ModuleNotFoundError: No module named|ImportError: ", re.IGNORECASE),
        "the interpreter that runs the tool lacks a package: install it there, or give another tool.python",
    ),
    (
        re.compile(r"unrecognized arguments", re.IGNORECASE),
        "this version of the tool lacks a flag: install a later one",
    ),
    (
        re.compile(r"is group writable|is a soft link|'s owner or ownergroup"),
        "this ais_bench reads no link, and no file that others own or may write: chmod go-w, or copy what it names",
    ),
)


def run(
    argv: Sequence[str],
    *,
    stage: str,
    name: str,
    timeout_seconds: float,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Finished:
    """Run a tool with runner.core.process.run, requiring exit status 0.

    Raises:
        ToolError: it cannot be started, hangs, is killed, or exits with another status; names the command.
    """
    with naming_command(argv):
        finished = process.run(
            argv, stage=stage, name=name, timeout_seconds=timeout_seconds, environment=environment, cwd=cwd
        )
    if finished.returncode != 0:
        raise failed(finished, f"{argv[0]} failed with exit status {finished.returncode}")
    return finished


@contextmanager
def naming_command(argv: Sequence[str]) -> Iterator[None]:
    """Add the command line to errors in the block, which runs it."""
    try:
        yield
    except ToolError as error:
        raise ToolError(f"{error.message}\n    command: {_shown(argv)}", error.fix) from error


def failed(finished: Finished, what: str, fix: str = "") -> ToolError:
    """Return the error for a finished tool: the problem, the command, the log and the last lines."""
    tail = _telling(finished.tail)
    lines = [what, f"    command: {_shown(finished.argv)}", f"    log: {finished.log}"]
    lines += [f"    | {line}" for line in tail]
    return ToolError("\n".join(lines), fix or _hint(finished.tail))


def _shown(argv: Sequence[str]) -> str:
    """Return a command line; of an argument of several lines, such as the text of a program, only the first."""
    firsts = [item.partition("\n") for item in argv]
    return shlex.join(f"{first} ..." if rest else first for first, _, rest in firsts)


def _telling(tail: str) -> list[str]:
    """Return error lines and the last lines, in order, without the frames of Python tracebacks."""
    lines = []
    in_traceback = False
    for line in tail.splitlines():
        in_traceback = line.startswith("Traceback (") or (in_traceback and line.startswith(" "))
        if line.strip() and not in_traceback:
            lines.append(line)
    errors = [index for index, line in enumerate(lines) if _ERROR.search(line)][: QUOTED_LINES // 2]
    shortages = [index for index, line in enumerate(lines) if out_of_memory.SIGNS.search(line)][:1]
    chosen = {*errors, *shortages}
    for index in reversed(range(len(lines))):
        if len(chosen) < QUOTED_LINES:
            chosen.add(index)
    return [lines[index] for index in sorted(chosen)]


def _hint(tail: str) -> str:
    return next((fix for pattern, fix in _HINTS if pattern.search(tail)), "look into the log for the first error")


@contextmanager
def attributed_to(finished: Finished) -> Iterator[None]:
    """Add the command and the log to errors in the block, which reads the tool's output."""
    try:
        yield
    except ToolError as error:
        raise failed(finished, error.message, error.fix) from error
    except OSError as error:
        raise failed(finished, f"cannot read what the tool wrote: {error}") from error


def new_folder(path: Path) -> Path:
    """Make a folder and return its resolved path; only its owner may write, as the latest ais_bench requires."""
    path.mkdir(parents=True)
    path.chmod(0o750)
    return path.resolve()


def the_only(paths: Sequence[Path], what: str) -> Path:
    """Return the only path of files that a tool wrote; `what` names them in the error.

    Raises:
        ToolError: there is none, or there are several.
    """
    if len(paths) != 1:
        raise ToolError(
            f"the tool wrote {len(paths)} {what}, one was due",
            "it failed, perhaps without saying so: look into its log",
        )
    return paths[0]


def listed(folders: Sequence[Path]) -> str:
    """Return the tools' comma-separated list of folders.

    Raises:
        ToolError: a path contains a comma.
    """
    for folder in folders:
        if "," in str(folder):
            raise ToolError(
                f"the tool's --input cannot name {folder}: commas separate its folders",
                "give a cache_dir without a comma in its path",
            )
    return ",".join(map(str, folders))


def path_problems(folder: Path, tool: str, taken: re.Pattern[str], in_words: str) -> list[Problem]:
    """Return a problem if a tool refuses the paths of files in this folder, which has no links.

    `taken` matches the paths that the tool takes; `in_words` lists their characters.
    """
    if taken.fullmatch(str(folder)):
        return []
    return [
        Problem(
            f"{tool} refuses the path {folder}: it takes {in_words} alone",
            "give a folder without others: cache_dir=PATH, as in cache_dir=/tmp/zoo-cache",
        )
    ]


def fingerprint(file: Path) -> str:
    """Return 16 hex digits that stand for the version of a program which does not tell it: of its path, size, mtime."""
    status = file.stat()
    return hashlib.sha256(f"{file.resolve()} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]


def device_problems(placement: Placement, choices: range) -> list[Problem]:
    """Return problems with devices that the tool rejects or that are listed twice."""
    outside = [device for device in placement.devices if device not in choices]
    if outside:
        return [Problem(f"device is {outside[0]}", f"give devices from {choices[0]} to {choices[-1]}; npu-smi info")]
    if len(set(placement.devices)) < len(placement.devices):
        return [Problem(f"device is {list(placement.devices)}: one stands twice", "name each device once")]
    return []


def chips_reported(placement: Placement) -> int:
    """Return how many chips the throughput is reported for: a card's, or all measured ones if more.

    Published figures are per card; a 310 card has four chips and the tools measure one, so the rate is multiplied by 4.
    """
    return max(placement.chips, len(placement.devices))


def chips_note(placement: Placement) -> str:
    """Return a note on measured chips and cards for the figure's source; empty for a card with one chip."""
    measured = len(placement.devices)
    reported = chips_reported(placement)
    if reported == measured:
        return f", {measured} devices at once" if measured > 1 else ""
    return f", {measured} of the card's {reported} chips measured, samples/s told for all {reported}"

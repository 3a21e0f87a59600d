"""What the command-line tools share: running one and blaming it with its command and log, and how long to measure."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from runner import measuring, memory, process
from runner.artifacts import Timing
from runner.compilers import cann
from runner.errors import Fault, ToolError
from runner.process import Finished
from runner.tools import MeasuringLimits, Placement

QUOTED_LINES = 10
"""How much of a failed tool's output an error shows."""

_ERROR = re.compile(r"\[ERROR\]|\w(Error|Exception)\b|^E\d{5}\b|\berror:")

# What the tools print, and what it means: aclruntime's DeviceManager.cpp and model_process.cpp, and CANN's error codes.
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
    """Run a tool to its end (see runner.process.run), which must be an exit status of 0.

    Raises:
        ToolError: it cannot be started, hangs, is killed, or exits with another status; told with stage and command.
    """
    try:
        finished = process.run(
            argv, stage=stage, name=name, timeout_seconds=timeout_seconds, environment=environment, cwd=cwd
        )
    except ToolError as error:
        raise ToolError(f"{stage}: {error.message}\n    command: {shlex.join(argv)}", error.fix) from error
    if finished.returncode != 0:
        raise failed(finished, stage, f"{argv[0]} failed with exit status {finished.returncode}")
    return finished


def failed(finished: Finished, stage: str, what: str, fix: str = "") -> ToolError:
    """The error of a tool that has ended: what is wrong, the stage, the command, the log and the last lines."""
    tail = _telling(finished.tail)
    lines = [f"{stage}: {what}", f"    command: {shlex.join(finished.argv)}", f"    log: {finished.log}"]
    lines += [f"    | {line}" for line in tail]
    return ToolError("\n".join(lines), fix or _hint(finished.tail))


def _telling(tail: str) -> list[str]:
    """The lines that call themselves an error, and the last ones, in order; no frames of a Python traceback."""
    lines = []
    in_traceback = False
    for line in tail.splitlines():
        in_traceback = line.startswith("Traceback (") or (in_traceback and line.startswith(" "))
        if line.strip() and not in_traceback:
            lines.append(line)
    errors = [index for index, line in enumerate(lines) if _ERROR.search(line)][: QUOTED_LINES // 2]
    shortages = [index for index, line in enumerate(lines) if memory.SIGNS.search(line)][:1]
    chosen = {*errors, *shortages}
    for index in reversed(range(len(lines))):
        if len(chosen) < QUOTED_LINES:
            chosen.add(index)
    return [lines[index] for index in sorted(chosen)]


def _hint(tail: str) -> str:
    return next((fix for pattern, fix in _HINTS if pattern.search(tail)), "look into the log for the first error")


@contextmanager
def blamed_on(finished: Finished, stage: str) -> Iterator[None]:
    """Add the stage, the command and the log to what reading the tool's files raises."""
    try:
        yield
    except ToolError as error:
        raise failed(finished, stage, error.message, error.fix) from error
    except OSError as error:
        raise failed(finished, stage, f"cannot read what the tool wrote: {error}") from error


def cann_is_here() -> bool:
    """Whether this process's own environment has CANN."""
    return bool(os.environ.get("ASCEND_HOME_PATH")) or process.found("atc") is not None


def known_environment(script: str) -> dict[str, str] | None:
    """Variables with CANN's in them: this process's, or those after sourcing `script`; None if neither has them.

    A host may have CANN's runtime without atc; its script then sets ASCEND_HOME_PATH as the toolkit's does.

    Raises:
        ToolError: the script is there and fails.
    """
    return cann.environment(script, cann_is_here())


def cann_environment(script: str) -> dict[str, str]:
    """The same for a program that cannot do without; what it prints then reaches the log at once, in order.

    Raises:
        ToolError: there is no CANN, or the script fails.
    """
    environment = known_environment(script)
    if environment is None:
        fault = _no_cann(script)
        raise ToolError(fault.message, fault.fix)
    return {**environment, "PYTHONUNBUFFERED": "1"}


def cann_faults(script: str) -> list[Fault]:
    """A CANN that is not there, or whose script fails."""
    try:
        return [_no_cann(script)] if known_environment(script) is None else []
    except ToolError as error:
        return [Fault(error.message, error.fix)]


def _no_cann(script: str) -> Fault:
    return Fault(
        f"CANN is not set up: no ASCEND_HOME_PATH, no atc on the PATH, and no environment script {script}",
        "install CANN (see docs/ascend.md), or say where its set_env.sh is: tool.environment_script=PATH",
    )


def new_folder(path: Path) -> Path:
    """Make a folder that only its owner writes to: the latest ais_bench refuses group-writable ones. No links in it."""
    path.mkdir(parents=True)
    path.chmod(0o750)
    return path.resolve()


def listed(folders: Sequence[Path]) -> str:
    """Folders as the tools take a list of them.

    Raises:
        ToolError: a path holds a comma, which is what separates them.
    """
    for folder in folders:
        if "," in str(folder):
            raise ToolError(
                f"the tool's --input cannot name {folder}: commas separate its folders",
                "give a cache_dir without a comma in its path",
            )
    return ",".join(map(str, folders))


def loops(limits: MeasuringLimits, at_least: int) -> int:
    """How many calls a tool that counts them is asked for at first."""
    return max(at_least, limits.min_iterations)


def more_loops(limits: MeasuringLimits, iterations: int, mean_ms: float) -> int | None:
    """How many calls a second measurement needs to last `min_seconds`; None if the first has been long enough.

    Half is added, since a few first calls are the slowest; `max_seconds` bounds it.
    """
    if iterations * mean_ms >= 1000.0 * min(limits.min_seconds, limits.max_seconds):
        return None
    wanted = math.ceil(1500.0 * limits.min_seconds / mean_ms)
    return max(iterations, min(wanted, math.ceil(1000.0 * limits.max_seconds / mean_ms)))


def too_short(limits: MeasuringLimits, iterations: int, mean_ms: float) -> tuple[str, ...]:
    """The reasons why a measurement does not count, if any."""
    if iterations < limits.min_iterations:
        return (f"too short: {iterations} of {limits.min_iterations} iterations",)
    seconds = iterations * mean_ms / 1000.0
    if seconds < limits.min_seconds:
        return (f"too short: {seconds:.3g} of {limits.min_seconds:g} seconds",)
    return ()


def long_enough(
    measured: Callable[[int], tuple[int, float]], limits: MeasuringLimits, at_least: int
) -> tuple[str, ...]:
    """Call `measured(iterations) -> (iterations, mean_ms)` once, or twice if the first was too short; the reasons."""
    iterations, mean_ms = measured(loops(limits, at_least))
    more = more_loops(limits, iterations, mean_ms)
    if more is not None and more > iterations:
        iterations, mean_ms = measured(more)
    return too_short(limits, iterations, mean_ms)


def in_windows(timing: Timing, limits: MeasuringLimits) -> Timing:
    """The timing with what its windows tell, where the tool tells every call and there were enough."""
    if not timing.latencies_ms or timing.reasons:
        return timing
    settled_after, reasons = measuring.settled(timing.latencies_ms, limits)
    return replace(timing, settled_after=settled_after, reasons=reasons)


def setting_faults(loop: int, timeout_seconds: float, placement: Placement, devices: range) -> list[Fault]:
    """What every tool refuses of its settings; `devices` are those that it takes."""
    found = []
    if loop < 1:
        found.append(Fault(f"tool.adapter.loop is {loop}", "give a number of calls, 1 or more"))
    if timeout_seconds <= 0:
        found.append(Fault(f"tool.adapter.timeout_seconds is {timeout_seconds}", "give a number of seconds above 0"))
    return [*found, *_device_faults(placement, devices)]


def _device_faults(placement: Placement, choices: range) -> list[Fault]:
    """Devices that the tool would refuse, or that are named twice."""
    outside = [device for device in placement.devices if device not in choices]
    if outside:
        return [Fault(f"device is {outside[0]}", f"give devices from {choices[0]} to {choices[-1]}; npu-smi info")]
    if len(set(placement.devices)) < len(placement.devices):
        return [Fault(f"device is {list(placement.devices)}: one stands twice", "name each device once")]
    return []


def chips_told(placement: Placement) -> int:
    """How many chips the throughput is told for: a card's, or all that were measured where those are more.

    Published figures are a card's; a 310 card has four chips and the tools measure one, so its rate counts four times.
    """
    return max(placement.chips, len(placement.devices))


def chips_note(placement: Placement) -> str:
    """What a reader of the figure should know about chips and cards; empty for one chip of a card that has one."""
    measured = len(placement.devices)
    told = chips_told(placement)
    if told == measured:
        return f", {measured} devices at once" if measured > 1 else ""
    return f", {measured} of the card's {told} chips measured, samples/s told for all {told}"

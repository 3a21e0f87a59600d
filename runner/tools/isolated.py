"""A tool's measurement in a process of its own: `python -m runner.tools.isolated FOLDER`.

The folder holds request.json and inputs.npz, and gets timing.json. The process imports what the tool does and no
more, so its memory is the tool's, and no thread of the runner's other libraries runs beside it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from runner import process, targets
from runner.artifacts import CompiledModel, Timing
from runner.errors import RunnerError
from runner.targets import Target
from runner.tools import MeasuringLimits, Placement, Tool, command_line
from runner.tools.command_line import blamed_on

REQUEST, INPUTS, TIMING = "request.json", "inputs.npz", "timing.json"
LOADING_SECONDS = 900.0
"""What loading and warming up may take; measuring has its own limit."""


@dataclass(frozen=True)
class Request:
    """What to measure. `names` are those of the inputs, in the order in which inputs.npz holds them.

    `allowed` are the packages that the user allows beside the runner's own choice (runner.targets).
    """

    tool: Target
    model: CompiledModel
    placement: Placement
    limits: MeasuringLimits
    names: tuple[str, ...]
    allowed: tuple[str, ...]


def measure(
    tool: Target,
    model: CompiledModel,
    placement: Placement,
    inputs: Mapping[str, NDArray[Any]],
    limits: MeasuringLimits,
    work: Path,
) -> Timing:
    """The tool's `measure`, called in a new process of this interpreter; `work` is an empty folder.

    Raises:
        ToolError: the process fails, dies, or hangs.
    """
    request = Request(tool, model, placement, limits, tuple(inputs), targets.allowed())
    (work / REQUEST).write_bytes(msgspec.json.encode(request, enc_hook=_as_text))
    np.savez(work / INPUTS, *inputs.values())
    with process.recording():  # kept from the run's record: the command works in this folder only
        finished = command_line.run(
            (sys.executable, "-m", __spec__.name, str(work.absolute())),
            stage="benchmark",
            name="isolated",
            timeout_seconds=LOADING_SECONDS + limits.max_seconds,
            environment={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    with blamed_on(finished, "benchmark"):
        return msgspec.json.decode((work / TIMING).read_bytes(), type=Timing)


def answer(work: Path) -> None:
    """Measure what `work` asks for, here."""
    request = msgspec.json.decode((work / REQUEST).read_bytes(), type=Request, dec_hook=_from_text)
    with np.load(work / INPUTS) as arrays:
        inputs = dict(zip(request.names, arrays.values(), strict=True))
    targets.allow(request.allowed)
    tool: Tool = targets.call(request.tool)
    timing = tool.measure(request.model, request.placement, inputs, request.limits, work)
    (work / TIMING).write_bytes(msgspec.json.encode(timing))


def main() -> int:
    """Answer the request in the folder that the command line names; returns the exit status."""
    try:
        answer(Path(sys.argv[1]))
    except RunnerError as error:
        sys.stderr.write(f"[ERROR] {error}\n")
        return 1
    return 0


def _as_text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError


def _from_text(kind: type, value: Any) -> Any:
    if issubclass(kind, Path):
        return Path(value)
    raise NotImplementedError


if __name__ == "__main__":
    sys.exit(main())

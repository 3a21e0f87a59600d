"""A tool's measurement in a separate process: `python -m runner.tools.isolated FOLDER`.

The folder contains request.json and inputs.npz; timing.json is written to it. The process imports only what the tool
needs, so its memory is the tool's, and no threads of other libraries run beside it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from runner.config import permissions, targets
from runner.config.callables import Target
from runner.core import CompiledModel, Placement, RunnerError, Timing, path_decoder, path_encoder, process
from runner.core.lazy import NDArray, np
from runner.measure import MeasuringLimits
from runner.tools import command_line
from runner.tools.command_line import attributed_to
from runner.tools.tool import Tool

REQUEST, INPUTS, TIMING = "request.json", "inputs.npz", "timing.json"
LOADING_SECONDS = 900.0
"""Time limit of loading and warming up; measuring has its own limit."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure. `names` are those of the inputs, in their order in inputs.npz.

    `allowed` are the packages that the user additionally allows (runner.config.permissions).
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
    """Call the tool's `measure` in a new process of this interpreter; `work` is an empty folder.

    Raises:
        ToolError: the process fails, dies, or hangs.
    """
    request = Request(
        tool=tool,
        model=model,
        placement=placement,
        limits=limits,
        names=tuple(inputs),
        allowed=permissions.allowed(),
    )
    (work / REQUEST).write_bytes(msgspec.json.encode(request, enc_hook=path_encoder()))
    np.savez(work / INPUTS, *inputs.values())
    with process.recording():  # not added to the run's record: the command works in this folder only
        finished = command_line.run(
            (sys.executable, "-m", __spec__.name, str(work.absolute())),
            stage="benchmark",
            name="isolated",
            timeout_seconds=LOADING_SECONDS + limits.max_seconds,
            environment={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd=work,  # `-m` also imports from the working folder
        )
    with attributed_to(finished):
        return msgspec.json.decode((work / TIMING).read_bytes(), type=Timing)


def answer(work: Path) -> None:
    """Measure the request in `work` in this process."""
    request = msgspec.json.decode((work / REQUEST).read_bytes(), type=Request, dec_hook=path_decoder())
    with np.load(work / INPUTS) as arrays:
        inputs = dict(zip(request.names, arrays.values(), strict=True))
    permissions.allow(request.allowed)
    tool: Tool = targets.call(request.tool)
    timing = tool.measure(request.model, request.placement, inputs, request.limits, work)
    (work / TIMING).write_bytes(msgspec.json.encode(timing))


def main() -> int:
    """Answer the request in the folder given on the command line; return the exit status."""
    try:
        answer(Path(sys.argv[1]))
    except RunnerError as error:
        sys.stderr.write(f"[ERROR] {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Shared code of CANN's tools: the environment script, and detection of chips with npu-smi."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from runner.core import Problem, ToolError, process

ENVIRONMENT_SCRIPT = "/usr/local/Ascend/ascend-toolkit/set_env.sh"
"""Its path in the guides, and in CANN's installation guide (default for root)."""
NEWER_ENVIRONMENT_SCRIPT = "/usr/local/Ascend/cann/set_env.sh"
"""Its path in CANN 8.5 and later (hiascend.com, CANN 8.5 installation guide)."""
NPU_SMI_TIMEOUT_SECONDS = 30.0

_NAME_ROW = re.compile(r"^\|\s*\d+\s+(?:Ascend)?(\d{3}\w*)\s*\|", re.MULTILINE)
_FAMILIES = ("310B", "310P", "910")
"""Shortened chip names that some cards report, such as 910 by A3 cards."""


def environment_script(script: str) -> Path | None:
    """Return the existing script: the given one, or the newer default instead of the older; None if none exists."""
    candidates = [script, NEWER_ENVIRONMENT_SCRIPT] if script == ENVIRONMENT_SCRIPT else [script]
    return next((path for path in map(Path, candidates) if path.is_file()), None)


def environment(script: str, is_here: bool) -> dict[str, str] | None:
    """Return this process's variables if CANN `is_here`, else those after sourcing `script`; None without it.

    The script of a run-time package does not provide atc: check that the result has the program.

    Raises:
        ToolError: the script exists but fails.
    """
    if is_here:
        return dict(os.environ)
    existing = environment_script(script)
    return None if existing is None else process.sourced(existing)


def is_here() -> bool:
    """Return whether CANN is set up in this process's environment."""
    return bool(os.environ.get("ASCEND_HOME_PATH")) or process.found("atc") is not None


def known_environment(script: str) -> dict[str, str] | None:
    """Return variables with CANN set up: this process's, or those after sourcing `script`; None without CANN.

    A host may have CANN's runtime without atc; its script sets ASCEND_HOME_PATH like the toolkit's.

    Raises:
        ToolError: the script exists but fails.
    """
    return environment(script, is_here())


def tool_environment(script: str) -> dict[str, str]:
    """Return the variables for a program that requires CANN, with unbuffered output for the log.

    Raises:
        ToolError: CANN is missing, or its script fails.
    """
    environment = known_environment(script)
    if environment is None:
        problem = _absent(script)
        raise ToolError(problem.message, problem.fix)
    return {**environment, "PYTHONUNBUFFERED": "1"}


def problems(script: str) -> list[Problem]:
    """Return a problem if CANN is missing or its script fails."""
    try:
        return [_absent(script)] if known_environment(script) is None else []
    except ToolError as error:
        return [Problem(error.message, error.fix)]


def _absent(script: str) -> Problem:
    return Problem(
        f"CANN is not set up: no ASCEND_HOME_PATH, no atc on the PATH, and no environment script {script}",
        "install CANN (see docs/ascend.md), or say where its set_env.sh is: tool.environment_script=PATH",
    )


def missing(program: str, script: str) -> Problem:
    """Return the problem of a CANN program that is not on the PATH."""
    existing = environment_script(script)
    if existing is None:
        where = f"{program} is not on the PATH, and there is no CANN environment script {script}"
    else:
        where = f"{program} is neither on the PATH nor on the one that {existing} sets"
    return Problem(
        where,
        f"install the CANN toolkit and `source {script}`, or say where its set_env.sh is with "
        "tool.environment_script=PATH; dry_run=true shows the commands without it",
    )


def npu_smi_chips(text: str) -> list[str]:
    """Return the chips in the table of `npu-smi info`, one per chip, without `Ascend`: 310P3, 310, 310B4, 910B3.

    Each chip has two rows; the name is in the first, after the card's number:

        | 0       310P3     | OK              | 15.8         42                0    / 0              |
        | 0       0         | 0000:82:00.0    | 0            1074 / 21534                            |
    """
    return _NAME_ROW.findall(text)


def detected_chips(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the chips of this machine; empty if npu-smi is missing or fails."""
    if process.found("npu-smi", environment) is None:
        return []
    with tempfile.TemporaryDirectory(prefix="npu-smi-") as folder, process.logging_to(Path(folder)):
        try:
            finished = process.run(
                ["npu-smi", "info"],
                stage="preflight",
                name="npu-smi",
                timeout_seconds=NPU_SMI_TIMEOUT_SECONDS,
                environment=environment,
            )
        except ToolError:
            return []
        return npu_smi_chips(finished.log.read_text(errors="replace")) if finished.returncode == 0 else []


def chip_problems(soc_version: str, chips: list[str]) -> list[Problem]:
    """Return a problem if no chip of the machine matches the SoC; none if npu-smi reports no chips."""
    wanted = soc_version.removeprefix("Ascend")
    if not chips or any(_is_chip(wanted, chip) for chip in chips):
        return []
    present = ", ".join(dict.fromkeys(chips))
    return [
        Problem(
            f"the soc is {soc_version}, but npu-smi info names {present}",
            f"choose the card's own, as in soc={chips[0]}, or soc=auto",
        )
    ]


def _is_chip(wanted: str, chip: str) -> bool:
    return wanted == chip or (chip in _FAMILIES and wanted.startswith(chip))

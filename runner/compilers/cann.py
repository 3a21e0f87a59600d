"""What the tools of CANN share: its environment script, and what npu-smi says of the cards."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from runner import process
from runner.errors import Fault, ToolError

ENVIRONMENT_SCRIPT = "/usr/local/Ascend/ascend-toolkit/set_env.sh"
"""Where the guides have it; CANN's installation guide, default path for root."""
NEWER_ENVIRONMENT_SCRIPT = "/usr/local/Ascend/cann/set_env.sh"
"""Where CANN 8.5 and later put it (hiascend.com, CANN 8.5 installation guide)."""
NPU_SMI_TIMEOUT_SECONDS = 30.0

_NAME_ROW = re.compile(r"^\|\s*\d+\s+(?:Ascend)?(\d{3}\w*)\s*\|", re.MULTILINE)
_FAMILIES = ("310B", "310P", "910")
"""Names that some cards give instead of the whole chip's, as the A3 cards do with 910."""


def environment_script(script: str) -> Path | None:
    """The script that is there: the given one, or the newer default in the place of the older; None if neither is."""
    candidates = [script, NEWER_ENVIRONMENT_SCRIPT] if script == ENVIRONMENT_SCRIPT else [script]
    return next((path for path in map(Path, candidates) if path.is_file()), None)


def environment(script: str, is_here: bool) -> dict[str, str] | None:
    """This process's variables if CANN `is_here`, in them, else those after sourcing `script`; None without either.

    The script of a run-time package brings no atc: look for the program in what comes back.

    Raises:
        ToolError: the script is there and fails.
    """
    if is_here:
        return dict(os.environ)
    existing = environment_script(script)
    return None if existing is None else process.sourced(existing)


def missing(program: str, script: str) -> Fault:
    """The fault of a CANN program that is not on the PATH of `environment`."""
    existing = environment_script(script)
    if existing is None:
        where = f"{program} is not on the PATH, and there is no CANN environment script {script}"
    else:
        where = f"{program} is neither on the PATH nor on the one that {existing} sets"
    return Fault(
        where,
        f"install the CANN toolkit and `source {script}`, or say where its set_env.sh is with "
        "tool.environment_script=PATH; dry_run=true shows the commands without it",
    )


def npu_smi_chips(text: str) -> list[str]:
    """The chips in the table of `npu-smi info`, one entry a chip, without `Ascend`: 310P3, 310, 310B4, 910B3.

    A chip has two rows; the name is in the first, after the card's number:

        | 0       310P3     | OK              | 15.8         42                0    / 0              |
        | 0       0         | 0000:82:00.0    | 0            1074 / 21534                            |
    """
    return _NAME_ROW.findall(text)


def detected_chips(environment: Mapping[str, str] | None = None) -> list[str]:
    """The chips of this machine; empty where npu-smi is missing or does not answer."""
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


def chip_faults(soc_version: str, chips: list[str]) -> list[Fault]:
    """A soc that none of the machine's chips is; no fault where the machine has none that npu-smi knows of."""
    wanted = soc_version.removeprefix("Ascend")
    if not chips or any(_is_chip(wanted, chip) for chip in chips):
        return []
    present = ", ".join(dict.fromkeys(chips))
    return [
        Fault(
            f"the soc is {soc_version}, but npu-smi info names {present}",
            f"choose the card's own, as in soc={chips[0]}, or soc=auto",
        )
    ]


def _is_chip(wanted: str, chip: str) -> bool:
    return wanted == chip or (chip in _FAMILIES and wanted.startswith(chip))

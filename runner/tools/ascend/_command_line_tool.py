"""Base class of Ascend's command-line tools: settings, their checks, and execution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from runner.core import Finished, Placement, Problem, bounded, bounds
from runner.tools import command_line
from runner.tools.ascend import cann


@dataclass(frozen=True, kw_only=True)
class CommandLineTool:
    """`loop` is the number of measured calls. `environment_script` is CANN's, sourced if CANN is not set up."""

    NAME: ClassVar[str]
    """Name of the program in errors, and of its logs."""
    DEVICES: ClassVar[range] = range(256)
    """The supported device indices."""
    SEVERAL_DEVICES: ClassVar[bool] = False
    """Whether it supports several devices at once."""
    PLACES: ClassVar[tuple[str, ...]] = ("environment_script",)
    """Arguments that locate the tool."""
    MEASURING: ClassVar[tuple[str, ...]] = ("loop",)
    """Arguments of the measurement."""

    loop: int = bounded(1000, least=1)
    environment_script: str = cann.ENVIRONMENT_SCRIPT
    timeout_seconds: float = bounded(3600, above=0)

    def excluded_from_key(self, stage: str) -> tuple[str, ...]:
        """Return locations and the timeout; for inference, also the arguments of the measurement."""
        always = (*self.PLACES, "timeout_seconds")
        return (*always, *self.MEASURING) if stage == "infer" else always

    def setting_problems(self, placement: Placement) -> list[Problem]:
        """Return problems: settings out of range, and unsupported devices."""
        problems = [*bounds.problems(self, "tool.adapter"), *command_line.device_problems(placement, self.DEVICES)]
        if len(placement.devices) > 1 and not self.SEVERAL_DEVICES:
            devices = list(placement.devices)
            problems.append(
                Problem(f"device is {devices}: {self.NAME} uses one device", "give one device, or tool=ais_bench")
            )
        return problems

    def run(self, argv: Sequence[str], stage: str, folder: Path | None = None) -> Finished:
        """Run the tool with CANN's environment, in `folder` if given.

        Raises:
            ToolError: CANN is missing, or the tool fails, hangs or is killed.
        """
        return command_line.run(
            argv,
            stage=stage,
            name=self.NAME,
            timeout_seconds=self.timeout_seconds,
            environment=cann.tool_environment(self.environment_script),
            cwd=folder,
        )

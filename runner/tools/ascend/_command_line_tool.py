"""Base class of Ascend's command-line tools: settings, their checks, and execution."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from runner import measure
from runner.core import (
    Command,
    CompiledModel,
    Finished,
    Placement,
    Problem,
    Timing,
    ToolError,
    bounded,
    bounds,
    sha256_of,
)
from runner.core.lazy import NDArray
from runner.measure import MeasuringLimits
from runner.tools import command_line, remote, remote_lock, ssh
from runner.tools.ascend import cann, npu_smi
from runner.tools.ascend._arguments import Arguments
from runner.tools.remote import Files
from runner.tools.ssh import Host
from runner.tools.tool import DryRunPaths


@dataclass(frozen=True, kw_only=True)
class CommandLineTool(ABC):
    """`loop` is the usual number of measured calls. `environment_script` is CANN's, sourced if CANN is not set up.

    `arguments` are further flags of the tool, as the user gives them. `host` is the host that has the tool, as ssh
    takes it (runner.tools.remote), and paths of programs and scripts are that host's; None for this one.
    """

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
    arguments: Arguments = field(default_factory=dict)
    host: str | None = None

    def excluded_from_key(self, stage: str) -> tuple[str, ...]:
        """Return locations and the timeout; for inference, also the host and the arguments of the measurement."""
        always = (*self.PLACES, "timeout_seconds")
        return (*always, *self.MEASURING, "host") if stage == "infer" else always

    def setting_problems(self, placement: Placement) -> list[Problem]:
        """Return problems: settings out of range, and unsupported devices."""
        problems = [*bounds.problems(self, "tool.adapter"), *command_line.device_problems(placement, self.DEVICES)]
        if len(placement.devices) > 1 and not self.SEVERAL_DEVICES:
            devices = list(placement.devices)
            problems.append(
                Problem(f"device is {devices}: {self.NAME} uses one device", "give one device, or tool=ais_bench")
            )
        return problems

    def card_problems(self, placement: Placement) -> list[Problem]:
        """Return problems of the host with the card: CANN is missing, or its chips are others than the SoC."""
        if self.other_host is not None:
            return _card_problems_of(self.other_host, placement)
        found = cann.problems(self.environment_script)
        if placement.soc_version is not None:
            found += npu_smi.problems(placement.soc_version, placement.chips, self._chips(bool(found)))
        return found

    def _chips(self, without_cann: bool = False) -> list[npu_smi.Chip]:
        """Return the chips of this host that npu-smi names."""
        return npu_smi.detected(None if without_cann else cann.known_environment(self.environment_script))

    def measure(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """Measure calls on `inputs`, and tell the chips and the host that the times are of.

        npu-smi is asked for the chips' state before it begins; what disturbs a measurement makes it invalid.

        Raises:
            ToolError: the tool fails, hangs, or does not report times.
        """
        chips = self._chips() if self.other_host is None else _chips_of(self.other_host, ssh.answer)
        timing = self.timing(model, placement, inputs, limits, work)
        state = npu_smi.states(chips, placement.devices)
        return replace(
            timing,
            source=f"{timing.source}{command_line.chips_note(placement)}{self.whereabouts}{state}",
            reasons=(*npu_smi.disturbances(chips, placement.devices), *timing.reasons),
            chips=command_line.chips_reported(placement),
        )

    @abstractmethod
    def timing(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """Return the tool's own times of calls on `inputs`."""

    def using_devices(self, placement: Placement, purpose: str, *, is_shared: bool) -> AbstractContextManager[None]:
        """Use the devices of the tool's host alone, or beside others; wait until that is possible (DeviceLocking).

        Raises:
            StoreError: a lock's file cannot be used. ToolError: the same on another host, or no connection to it.
        """
        if self.other_host is None:
            return measure.using_devices(placement, purpose, is_shared=is_shared)
        return remote_lock.using_devices(self.other_host, placement, purpose, is_shared=is_shared)

    @property
    def other_host(self) -> Host | None:
        """The host that has the tool, if it is another one."""
        if self.host is None:
            return None
        return Host(self.host, (self.environment_script, cann.NEWER_ENVIRONMENT_SCRIPT))

    def unreachable(self) -> list[Problem]:
        """Return the problem of reaching the tool's host, without which nothing can be asked there."""
        return [] if self.other_host is None else ssh.problems(self.other_host)

    @property
    def whereabouts(self) -> str:
        """Where the tool runs, for the source of its figures; empty for this host."""
        return "" if self.host is None else f", on {self.host}"

    def in_any_folder(self, program: str) -> str:
        """Return the absolute path of a program on this host; a name on the PATH, or of another host, as it is."""
        return str(Path(program).absolute()) if os.sep in program and self.host is None else program

    def digest_of(self, file: str) -> str | None:
        """Return the first 12 digits of the SHA-256 of a file on the tool's host; None if it is not there."""
        if self.other_host is None:
            return sha256_of(Path(file))[:12] if Path(file).is_file() else None
        try:
            return ssh.ask(self.other_host, ("sha256sum", "--", file)).split()[0][:12]
        except ToolError:
            return None

    def shown(self, commands: Sequence[Command], paths: DryRunPaths) -> list[Command]:
        """Return the commands of a dry run; for another host, with those of ssh and sftp around each."""
        if self.other_host is None:
            return list(commands)
        files = Files(sent=(paths.model, paths.samples, paths.one_batch), folder=paths.results)
        return [
            Command(command.stage, argv)
            for command in commands
            for argv in remote.shown(self.other_host, command.argv, files)
        ]

    def run(self, argv: Sequence[str], stage: str, folder: Path, sent: Sequence[Path]) -> Finished:
        """Run the tool with CANN's environment, in `folder`: tools write into and check names in the current one.

        `sent` are the files and folders that it reads, which another host has to get.

        Raises:
            ToolError: CANN is missing, or the tool fails, hangs or is killed; the other host cannot be reached.
        """
        if self.other_host is not None:
            return remote.run(
                self.other_host,
                argv,
                Files(sent=tuple(sent), folder=folder),
                stage=stage,
                name=self.NAME,
                timeout_seconds=self.timeout_seconds,
            )
        return command_line.run(
            argv,
            stage=stage,
            name=self.NAME,
            timeout_seconds=self.timeout_seconds,
            environment=cann.tool_environment(self.environment_script),
            cwd=folder,
        )


def _card_problems_of(host: Host, placement: Placement) -> list[Problem]:
    problems = []
    try:
        ssh.ask(host, ("printenv", "ASCEND_HOME_PATH"))
    except ToolError:
        problems.append(
            Problem(
                f"CANN is not set up on {host.address}: no ASCEND_HOME_PATH, and none of {', '.join(host.scripts)}",
                "say where its set_env.sh is there: tool.environment_script=PATH",
            )
        )
    if placement.soc_version is None:
        return problems
    return problems + npu_smi.problems(placement.soc_version, placement.chips, _chips_of(host, ssh.ask))


def _chips_of(host: Host, say: Callable[[Host, tuple[str, ...]], str]) -> list[npu_smi.Chip]:
    try:
        return npu_smi.parsed(say(host, ("npu-smi", "info")))
    except ToolError:  # as on this host, a card that does not tell its name is not refused
        return []

"""Typed errors: what is wrong, the value, the choices, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and how to mend it."""

    message: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.message}\n    fix: {self.fix}" if self.fix else self.message


class RunnerError(Exception):
    """Anything that a user, a file or a foreign program can cause; shown without a traceback."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return str(Fault(self.message, self.fix))


def cause_of(error: BaseException) -> RunnerError | None:
    """The typed error that another one was raised for, as Hydra and OmegaConf wrap what resolvers raise."""
    following: BaseException | None = error
    while following is not None and not isinstance(following, RunnerError):
        following = following.__cause__ or following.__context__
    return following


class ConfigError(RunnerError):
    """A value of the configuration that cannot be right."""


class PreflightError(RunnerError):
    """Everything that was known to be wrong before the first stage ran."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            "\n".join(fault.message for fault in self.faults),
            "\n".join(dict.fromkeys(fault.fix for fault in self.faults if fault.fix)),
        )

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


class CheckpointError(RunnerError):
    """A checkpoint that cannot be read or belongs to another network."""


class DownloadError(RunnerError):
    """A file that could not be fetched whole."""


class ExportError(RunnerError):
    """A network that did not become the ONNX model that was asked for."""


class DataError(RunnerError):
    """A sample, a label file or a folder that cannot be used."""


class ToolError(RunnerError):
    """An inference tool or a compiler that failed or answered nonsense."""


class OutOfMemoryError(RunnerError):
    """Memory of the host or of a device that does not suffice."""


class ComparisonError(RunnerError):
    """Outputs that cannot be compared: another name, another shape, not a number."""


class StoreError(RunnerError):
    """The artifact store cannot be read or written."""

"""Typed errors, which say what is wrong, the value, the choices, and the fix.

RunnerError             an error caused by a user, a file or an external program; shown without a traceback
├── ConfigError         an invalid value in the configuration
├── PreflightError      all problems detected before the first stage runs
├── CheckpointError     a checkpoint that cannot be read or belongs to another network
├── DownloadError       a file that could not be downloaded completely
├── ExportError         a network that could not be exported to the requested ONNX model
├── DataError           an unusable sample, label file or folder
├── ToolError           an inference tool or a compiler that failed or returned invalid output
├── OutOfMemoryError    insufficient memory on the host or a device
├── HookError           a callable named in YAML that raised, ended the program, or returned something else
├── ComparisonError     outputs that cannot be compared: different names or shapes, NaN or infinity
└── StoreError          a folder that cannot be read or written: the artifact store, a run's folder, a report's
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """A problem and how to fix it."""

    message: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.message}\n    fix: {self.fix}" if self.fix else self.message


class RunnerError(Exception):
    """An error caused by a user, a file or an external program; shown without a traceback."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return str(self.problem)

    @property
    def problem(self) -> Problem:
        """The error as a Problem."""
        return Problem(self.message, self.fix)


class ConfigError(RunnerError):
    """An invalid value in the configuration."""


class PreflightError(RunnerError):
    """All problems detected before the first stage runs."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(problem.message for problem in self.problems),
            "\n".join(dict.fromkeys(problem.fix for problem in self.problems if problem.fix)),
        )

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class CheckpointError(RunnerError):
    """A checkpoint that cannot be read or belongs to another network."""


class DownloadError(RunnerError):
    """A file that could not be downloaded completely."""


class ExportError(RunnerError):
    """A network that could not be exported to the requested ONNX model."""


class DataError(RunnerError):
    """An unusable sample, label file or folder."""


class ToolError(RunnerError):
    """An inference tool or a compiler that failed or returned invalid output."""


class HookError(RunnerError):
    """A callable named in YAML that raised an exception, ended the program, or returned something else than it must."""


class OutOfMemoryError(RunnerError):
    """Insufficient memory on the host or a device."""


class ComparisonError(RunnerError):
    """Outputs that cannot be compared: different names or shapes, NaN or infinity."""


class StoreError(RunnerError):
    """A folder that cannot be read or written: the artifact store, a run's folder, a report's."""


def text_of(error: BaseException) -> str:
    """Return the text of an error; empty if that fails, since the text of a hook's own exception is code too."""
    try:
        return str(error)
    except Exception:
        return ""


def causes(error: BaseException, *, with_suppressed: bool = True) -> Iterator[BaseException]:
    """Yield the error and its chain of causes: `__cause__`, else `__context__`.

    Without `with_suppressed`, the chain ends where an error was raised `from None`; OmegaConf raises all of its so.
    """
    following: BaseException | None = error
    seen: list[BaseException] = []  # an error of a hook may have itself among its causes
    while following is not None and not any(following is each for each in seen):
        seen.append(following)
        yield following
        is_end = following.__suppress_context__ and not with_suppressed
        following = following.__cause__ or (None if is_end else following.__context__)


def cause_of(error: BaseException) -> RunnerError | None:
    """Return the first RunnerError in the chain of causes; Hydra and OmegaConf wrap what resolvers raise."""
    return next((cause for cause in causes(error) if isinstance(cause, RunnerError)), None)

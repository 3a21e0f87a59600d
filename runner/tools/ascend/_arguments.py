"""`tool.arguments`: flags of the user's own for a tool, checked before a run and spelt on its command line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from runner.core import Problem, did_you_mean

CHOSEN = "the runner chooses it"
OUTPUTS_REMOVED = "what it writes would be removed with the outputs; call the tool by hand, as dry_run=true shows it"
"""Why a flag is the runner's own."""

Arguments = Mapping[str, Any]
"""Values by flag, without dashes: a text, a number, true or false, or a list, which is joined by commas."""


def problems(
    arguments: Arguments, own: Mapping[str, str], known: Collection[str] = (), files: Collection[str] = ()
) -> list[Problem]:
    """Return the problems of arguments: flags of the runner's `own`, with the reasons, and flags that are not `known`.

    An empty `known` means that the tool cannot be asked which flags it takes. `files` are the flags whose values are
    files, which must be there.
    """
    found = [_problem(flag, value, own, known) for flag, value in arguments.items()]
    absent = [
        Problem(f"tool.arguments.{flag}={arguments[flag]} is not there", "give the path of a file")
        for flag, path in paths(arguments, files).items()
        if not path.is_file()
    ]
    return [problem for problem in found if problem is not None] + absent


def _problem(flag: str, value: Any, own: Mapping[str, str], known: Collection[str]) -> Problem | None:
    path = f"tool.arguments.{flag}"
    if flag in own:
        return Problem(f"{path}={spelt(value)} cannot be given: {own[flag]}", "leave it out")
    if known and flag not in known:
        choices = sorted(set(known) - set(own))
        return Problem(
            f"{path}: the installed tool has no flag {flag}",
            did_you_mean(flag, choices) or f"choose from {', '.join(choices)}",
        )
    if value is None or isinstance(value, Mapping):
        return Problem(f"{path} is {value}", "give a text, a number, true, false, or a list of them")
    return None


def spelt(value: Any) -> str:
    """Return a value as the tools take it."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list | tuple):
        return ",".join(map(spelt, value))
    return str(value)


def flags(arguments: Arguments, files: Collection[str] = ()) -> tuple[str, ...]:
    """Return the arguments as `--flag value`, with absolute paths of `files`."""
    spelled = {flag: spelt(value) for flag, value in arguments.items()} | paths(arguments, files)
    return tuple(text for flag, value in spelled.items() for text in (f"--{flag}", str(value)))


def paths(arguments: Arguments, files: Collection[str]) -> dict[str, Path]:
    """Return the absolute paths of those arguments that are `files`."""
    return {flag: Path(str(arguments[flag])).absolute() for flag in files if flag in arguments}

"""The ais_bench that an interpreter has: asked of it, and judged."""

from __future__ import annotations

import functools
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import Problem, ToolError, process
from runner.tools import command_line, ssh
from runner.tools.ascend import _front_end as front_end
from runner.tools.ssh import Host

INSTALL = (
    "install the wheels aclruntime and ais_bench for that interpreter's Python version (see docs/ascend.md),"
    " or name the interpreter that has them: tool.python=PATH"
)
ASKING_TIMEOUT_SECONDS = 60.0
_PATH = re.compile(r"[A-Za-z0-9_/.-]+")
"""PATH_WHITE_LIST_REGEX of github.com/Ascend/msit, ait/components/benchmark."""


@dataclass(frozen=True)
class Installation:
    """What an interpreter has of ais_bench, as in `_front_end.description`."""

    ais_bench: bool
    aclruntime: bool
    ais_bench_version: str | None
    evaluates_language_models: bool
    pkg_resources: bool
    flags: tuple[str, ...]

    @property
    def version(self) -> str:
        """The version's text."""
        return (self.ais_bench_version or "(version unknown)") if self.ais_bench else "(not found)"

    @property
    def divides_inputs(self) -> bool:
        """Whether several devices share the inputs only if asked to, as in msit's line; else they always do."""
        return "divide_input" in self.flags


def here() -> Installation:
    """Return this interpreter's installation."""
    return _described(front_end.description())


def of(python: str, environment: Mapping[str, str] | None) -> Installation:
    """Return another interpreter's installation, cached while the interpreter and its environment are unchanged.

    Raises:
        ToolError: there is no such interpreter, or it fails.
    """
    place = process.found(python, environment)
    if place is None:
        raise ToolError(
            f"tool.python={python} is not there", "give the interpreter that has ais_bench, as a path or a name"
        )
    variables = tuple(sorted(environment.items())) if environment is not None else None
    return _asked(place.absolute(), place.stat().st_mtime_ns, variables)


@functools.lru_cache(maxsize=8)
def _asked(place: Path, changed_ns: int, variables: tuple[tuple[str, str], ...] | None) -> Installation:
    with tempfile.TemporaryDirectory(prefix="ais_bench-") as folder:  # `-c` also imports from the working folder
        finished = command_line.run(
            (str(place), "-c", Path(front_end.__file__).read_text()),
            stage="preflight",
            name="ais_bench-version",
            timeout_seconds=ASKING_TIMEOUT_SECONDS,
            environment=dict(variables) if variables is not None else None,
            cwd=Path(folder),
        )
    try:
        return _parsed(finished.tail)
    except command_line.MALFORMED as error:
        raise command_line.failed(finished, f"{place} did not say which packages it has") from error


def _parsed(said: str) -> Installation:
    """Return the installation that the last line describes, as `_front_end` prints it."""
    return _described(json.loads(said.splitlines()[-1]))


def _described(description: Mapping[str, Any]) -> Installation:
    return Installation(**{**description, "flags": tuple(description["flags"])})


def there(host: Host, python: str) -> Installation:
    """Return the installation of an interpreter on another host.

    Raises:
        ToolError: the host cannot be reached, or the interpreter fails or is not there.
    """
    said = ssh.ask(host, (python, "-c", Path(front_end.__file__).read_text()))
    try:
        return _parsed(said)
    except command_line.MALFORMED as error:
        raise ToolError(
            f"{python} on {host.address} did not say which packages it has: {said[-200:]!r}", INSTALL
        ) from error


def problems(found: Installation, where: str) -> list[Problem]:
    """Return what is missing in the interpreter `where`, such as "tool.python=python3"."""
    absent = [name for name in ("ais_bench", "aclruntime") if not getattr(found, name)]
    if not found.ais_bench and found.evaluates_language_models:
        return [
            Problem(
                f"the ais_bench in {where} is ais_bench_benchmark, which evaluates language models:"
                " it has no ais_bench.infer",
                f"{INSTALL}; not the same one, since both are called ais_bench",
            )
        ]
    if absent:
        are = "is" if len(absent) == 1 else "are"
        return [Problem(f"{' and '.join(absent)} {are} not installed in {where}", INSTALL)]
    return []


def path_problems(found: Installation, folder: Path) -> list[Problem]:
    """Return a problem if an installation refuses the paths of files in this folder: msit's line checks characters.

    The folder is absolute and without links, as the installation's host has it.
    """
    if not found.divides_inputs:
        return []
    return command_line.path_problems(folder, "this ais_bench", _PATH, "a-z A-Z 0-9 . _ -")


def command_line_problems(found: Installation, where: str, python: str) -> list[Problem]:
    """Return what the command line of an installation lacks: msit's line fails without pkg_resources."""
    if not found.divides_inputs or found.pkg_resources:
        return []
    return [
        Problem(
            f"this ais_bench needs pkg_resources, which setuptools no longer has since 82, and {where} lacks it",
            f"{python} -m pip install 'setuptools<82', or tool.mode=api",
        )
    ]

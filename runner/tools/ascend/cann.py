"""Shared code of CANN's tools: its environment script, and the environment of its compiler."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from runner.core import Problem, ToolError, process

ENVIRONMENT_SCRIPT = "/usr/local/Ascend/ascend-toolkit/set_env.sh"
"""Its path in the guides, and in CANN's installation guide (default for root)."""
NEWER_ENVIRONMENT_SCRIPT = "/usr/local/Ascend/cann/set_env.sh"
"""Its path in CANN 8.5 and later (hiascend.com, CANN 8.5 installation guide)."""
OWN_ENVIRONMENT_SCRIPTS = ("~/Ascend/cann/set_env.sh", "~/Ascend/ascend-toolkit/set_env.sh")
"""Its paths where a user other than root installed CANN (CANN installation guide)."""
PYTHON_MODULES = ("attr", "decorator", "numpy", "psutil", "scipy")
"""Modules that atc imports; published logs of EC0010 and E40000 name those that were missing."""
PIP_PACKAGES = "attrs 'numpy<2' decorator sympy cffi pyyaml pathlib2 psutil protobuf scipy requests absl-py"
"""What CANN's installation guide has installed for its Python."""
_DRIVER_LIBRARY = "libascend_hal.so"
_DRIVER = Path("/usr/local/Ascend/driver")
PYTHON_TIMEOUT_SECONDS = 60.0
_VENV_VARIABLES = ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "PYTHONHOME")


def environment_scripts(script: str) -> tuple[str, ...]:
    """Return where the script may be: the given one or, for the default, also that of a newer CANN and the user's own.

    A leading ~ is the user's home.
    """
    return (script, NEWER_ENVIRONMENT_SCRIPT, *OWN_ENVIRONMENT_SCRIPTS) if script == ENVIRONMENT_SCRIPT else (script,)


def environment_script(script: str) -> Path | None:
    """Return the first existing one of `environment_scripts`; None if none exists."""
    paths = map(Path, map(os.path.expanduser, environment_scripts(script)))
    return next((path for path in paths if path.is_file()), None)


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
        return [error.problem]


def _absent(script: str) -> Problem:
    return Problem(
        f"CANN is not set up: no ASCEND_HOME_PATH, no atc on the PATH, and no environment script {script}",
        "install CANN (see docs/ascend.md), or say where its set_env.sh is: tool.environment_script=PATH; "
        "dry_run=true shows the commands without it",
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


def compiler_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for atc: without this process's virtual environment, and with the driver's library.

    atc runs the python3 on its PATH, which has to have CANN's Python packages; a virtual environment of the runner has
    others. The toolkit brings a libascend_hal.so to link with, in `devlib`, which suffices where there is no driver.
    """
    changed = dict(environment)
    if sys.prefix != sys.base_prefix:
        changed = {name: value for name, value in changed.items() if name not in _VENV_VARIABLES}
        for name in ("PATH", "PYTHONPATH"):
            if name in changed:
                changed[name] = _outside(Path(sys.prefix), changed[name])
    folder = _library_to_link_with(changed)
    if folder is not None:
        changed["LD_LIBRARY_PATH"] = ":".join(filter(None, (changed.get("LD_LIBRARY_PATH"), str(folder))))
    return changed


def _outside(folder: Path, paths: str) -> str:
    return ":".join(path for path in paths.split(":") if not path or not Path(path).is_relative_to(folder))


def _library_to_link_with(environment: Mapping[str, str]) -> Path | None:
    """Return the toolkit's folder of libascend_hal.so, if no driver has it."""
    home = environment.get("ASCEND_HOME_PATH") or environment.get("ASCEND_TOOLKIT_HOME")
    folders = filter(None, environment.get("LD_LIBRARY_PATH", "").split(":"))
    if home is None or _DRIVER.is_dir() or any((Path(folder) / _DRIVER_LIBRARY).is_file() for folder in folders):
        return None
    libraries = sorted(Path(home).glob(f"{platform.machine()}-linux/devlib/**/{_DRIVER_LIBRARY}"))
    return libraries[0].parent if libraries else None


def python_problems(environment: Mapping[str, str]) -> list[Problem]:
    """Return a problem if the python3 that atc takes from its PATH is not there or lacks modules of CANN's compiler."""
    python = process.found("python3", environment)
    if python is None:
        return [
            Problem(
                "atc runs python3, and there is none on the PATH outside this runner's virtual environment",
                f"install Python 3.7 to 3.11 there, with: python3 -m pip install {PIP_PACKAGES}",
            )
        ]
    code = (
        f"from importlib.util import find_spec; print(*[m for m in {PYTHON_MODULES!r} if not find_spec(m)], sep=', ')"
    )
    with tempfile.TemporaryDirectory(prefix="atc-python-") as folder, process.logging_to(Path(folder)):
        try:
            finished = process.run(
                (str(python), "-c", code),
                stage="preflight",
                name="atc-python",
                timeout_seconds=PYTHON_TIMEOUT_SECONDS,
                environment=environment,
                cwd=Path(folder),
            )
        except ToolError as error:
            return [Problem(f"the python3 that atc takes does not run: {error.message}", error.fix)]
    said = finished.tail.strip()
    if finished.returncode == 0 and not said:
        return []
    what = f"lacks {said}" if finished.returncode == 0 else f"does not run: {said}"
    return [Problem(f"atc takes {python}, which {what}", python_fix(str(python)))]


def python_fix(python: str) -> str:
    """Return how to give atc a Python that has CANN's packages."""
    return (
        f"{python} -m pip install {PIP_PACKAGES}; or put a python3 that has them first on the PATH: atc does not get "
        "this runner's virtual environment"
    )


def operator_problems(environment: Mapping[str, str], soc_version: str) -> list[Problem]:
    """Return a problem if the installed CANN has operators of other chips only, as packages for each chip bring them.

    Each chip's are listed in opp/built-in/op_impl/ai_core/tbe/config/<chip> (ATC guide, --precision_mode_v2).
    """
    home = environment.get("ASCEND_HOME_PATH") or environment.get("ASCEND_TOOLKIT_HOME") or ""
    opp = environment.get("ASCEND_OPP_PATH") or f"{home}/opp"
    listed = Path(opp) / "built-in" / "op_impl" / "ai_core" / "tbe" / "config"
    chips = sorted(folder.name for folder in listed.glob("ascend*") if folder.is_dir())
    wanted = operators_of(soc_version)
    if not chips or wanted in chips:
        return []
    return [
        Problem(
            f"CANN has operators for {', '.join(chips)}, and none for {wanted}, the chip {soc_version}: {listed}",
            f"install CANN's operators of that chip (the package named kernels, or from CANN 8.5 ops, for "
            f"{wanted.removeprefix('ascend')})",
        )
    ]


def operators_of(soc_version: str) -> str:
    """Return the folder name of a chip's operators: ascend310p for Ascend310P3, ascend910b for Ascend910B4.

    Short_SoC_version of CANN's platform_config; Ascend910A, 910B, 910ProA and 910ProB are of the first generation.
    """
    name = soc_version.removeprefix("Ascend")
    for start in ("310P", "310B", "910_93"):
        if name.startswith(start):
            return f"ascend{start.lower()}"
    return "ascend910b" if re.match(r"910B\d", name) else f"ascend{name[:3]}"

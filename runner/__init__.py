"""A declarative model-zoo runner: from a PyTorch checkpoint to a published table.

A folder in which somebody works may hold files of people whom they do not know. So the programs of this package take no
module from there: not zoo/, not Hydra's plug-ins, not what a library looks for.
"""

import os
import sys
from pathlib import Path

PROGRAMS = ("-m", "mzr")
"""The first word of the command line while a program of this package is found: `python -m`, or the console script."""
SAFE_PATH = "model-zoo-runner"
"""PYTHONSAFEPATH for processes of this interpreter, such as a sweep's workers; tools get it as the user has set it."""


def without_working_folder(pythonpath: str) -> str:
    """Return a PYTHONPATH without empty items, which stand for the working folder; CANN's set_env.sh leaves one."""
    return os.pathsep.join(filter(None, pythonpath.split(os.pathsep)))


def _leave_working_folder() -> None:
    """Take the working folder off sys.path, where `python -m` and empty items of PYTHONPATH put it."""
    if sys.argv[0] == "-m" and not getattr(sys.flags, "safe_path", sys.flags.isolated):
        del sys.path[0]
    given = os.environ.get("PYTHONPATH", "")
    cleaned = without_working_folder(given)
    if cleaned != given:
        os.environ["PYTHONPATH"] = cleaned
        sys.path.remove(str(Path.cwd()))
    root = str(Path(__file__).resolve().parents[1])
    if root not in sys.path:
        sys.path.append(root)
    os.environ.setdefault("PYTHONSAFEPATH", SAFE_PATH)


if sys.argv and Path(sys.argv[0]).name in PROGRAMS:
    _leave_working_folder()

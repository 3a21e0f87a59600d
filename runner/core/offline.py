"""A guard around code that builds networks: no connection, no program, and no file beyond the installed packages.

Arguments by which a library would load weights are refused before; this catches those that nobody has thought of.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from runner.core.errors import ConfigError

REFUSED = (
    *("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "subprocess.", "pty.", "shutil."),
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile", "os.kill"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"),
)
"""Beginnings of the names of refused audit events: https://docs.python.org/3/library/audit_events.html."""
MACHINE = ("/proc/cpuinfo", "/proc/meminfo", "/proc/sys/kernel/random/boot_id", "/dev/null", "/dev/urandom")
"""Files that tell what the machine is, or nothing."""
_guarded: dict[int, str] = {}
"""Thread -> the name of what it builds."""


@contextmanager
def guard(name: str) -> Iterator[None]:
    """Refuse connections, programs and files outside of the installed packages to what this thread calls in the block.

    The refusal is raised where the code asks for it, as a ConfigError that names `name`.
    """
    _install()
    thread = threading.get_ident()
    outer = _guarded.get(thread)
    _guarded[thread] = name
    try:
        yield
    finally:
        if outer is None:
            del _guarded[thread]
        else:
            _guarded[thread] = outer


@cache  # a hook cannot be taken away
def _install() -> None:
    _packages()
    tempfile.gettempdir()  # the first call tries the folder by writing into it
    sys.addaudithook(_check)


def _check(event: str, arguments: tuple[Any, ...]) -> None:
    name = _guarded.get(threading.get_ident())
    if name is None:
        return
    if event == "os.mkdir" and _is_temporary(arguments[0]):
        return
    if event.startswith(REFUSED):
        raise _refusal(name, f"would {event}", arguments[0] if arguments else "")
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        changes = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if not _is_open(path, changes):
            raise _refusal(name, "would write" if changes else "would read", path)


def _is_temporary(folder: Any) -> bool:
    """Return whether a folder is in the temporary one, where torch makes an empty one as some of it is imported."""
    return Path(os.path.realpath(os.fsdecode(folder))).parent == Path(tempfile.gettempdir()).resolve()


def _is_open(path: str, changes: bool) -> bool:
    if changes:
        return path == os.devnull or "__pycache__" in Path(path).parts
    return path.startswith(_packages()) or path in MACHINE or _is_metadata(path)


def _is_metadata(path: str) -> bool:
    """Return whether a file says what an importable package is, as importlib.metadata reads it.

    That of a package installed with `pip install -e` lies beside its source.
    """
    folder = Path(path).parent
    return folder.suffix in (".dist-info", ".egg-info") and str(folder.parent) in map(os.path.realpath, sys.path)


@cache
def _packages() -> tuple[str, ...]:
    """Return the folders of the standard library, of installed packages, and of this package and its networks."""
    paths = sysconfig.get_paths()
    installed = [paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
    installed += [*site.getsitepackages(), site.getusersitepackages()]
    own = Path(__file__).parents[2]
    folders = [*map(Path, installed), own / "runner", own / "zoo"]
    return tuple(f"{folder.resolve()}{os.sep}" for folder in folders)


def _refusal(name: str, does: str, what: object) -> ConfigError:
    return ConfigError(
        f"{name} {does} {what}: what builds a network opens no connection and no file beyond the packages",
        "leave out the argument that leads there; weights come through model.checkpoint, or weights=PATH",
    )

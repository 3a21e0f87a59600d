"""The environment of a run: packages, operating system, hardware."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
"""The folder that holds the runner's package."""
GIT_TIMEOUT_SECONDS = 5.0
PACKAGES = ("model-zoo-runner", "torch", "torchvision", "timm", "onnx", "onnxsim", "onnxruntime", "numpy", "pillow")


def describe(tools: dict[str, str]) -> dict[str, Any]:
    """Return the `environment` section of result.json."""
    return {
        "host": platform.node(),
        "commit": commit(CHECKOUT),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := package_version(name))},
        "os": platform.platform(),
        "cpu": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "tools": tools,
    }


@cache
def commit(checkout: Path) -> str | None:
    """Return the git commit of a checkout, followed by "+changes" if tracked files differ from it.

    None if the folder is no checkout (such as that of installed packages), or git cannot tell.
    """
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+changes"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip()


def package_version(name: str) -> str | None:
    """Return the installed version of a distribution, None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine() -> tuple[str, ...]:
    """Return host name, processor and core count, which identify where a measurement can be reused."""
    return platform.node(), processor(), str(os.cpu_count())


def processor() -> str:
    """Return the processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

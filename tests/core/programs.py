"""Small programs, run as the runner runs its tools."""

from __future__ import annotations

import sys

from runner.core import Finished, process


def python(code: str, *arguments: str, timeout_seconds: float = 20) -> Finished:
    argv = [sys.executable, "-c", code, *arguments]
    return process.run(argv, stage="compile", name="child", timeout_seconds=timeout_seconds)

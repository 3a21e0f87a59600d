"""Whole runs of made-up configurations end with 0, 1 or 2 and a message; what once did not is tried again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.fuzz, pytest.mark.slow]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("arguments", [["--runs", "60"], ["--kept"]], ids=["made up", "kept"])
def test_any_configuration_runs_or_is_refused_with_a_message(arguments: list[str]) -> None:
    # in a process of its own: a fork of one that has run OpenMP's threads hangs
    script = [sys.executable, "-m", "benchmarks.fuzz", *arguments]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

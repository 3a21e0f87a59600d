"""Made-up command lines end with a code of the contract and a message; those that once did not are tried again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fuzz.runs import ROOT

pytestmark = [pytest.mark.fuzz, pytest.mark.slow]


def test_what_is_typed_is_carried_out_or_refused_with_a_message() -> None:
    # in a process of its own: a fork of one that has run OpenMP's threads hangs
    script = [sys.executable, "-m", "benchmarks.fuzz", "--runs", "40"]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

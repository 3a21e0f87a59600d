"""A clock that jumps while the runner is at work."""

import itertools
import json
import os
import time
from datetime import datetime

import pytest

from runner.core import FileHashes
from runner.core.hashing import sha256_of

DAY_SECONDS = 86400.0
YEAR_SECONDS = 365 * DAY_SECONDS
BRIEF = ("weights=random", "stages=[export]")


@pytest.fixture
def set_clock(monkeypatch):
    """Let every clock that tells the time of day be late or ahead by what the function returns, in seconds."""

    def set_by(offset_seconds) -> None:
        seconds, nanoseconds = time.time, time.time_ns

        class Jumping(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.fromtimestamp(seconds() + offset_seconds(), tz)

        monkeypatch.setattr(time, "time", lambda: seconds() + offset_seconds())
        monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + int(offset_seconds() * 1e9))
        monkeypatch.setattr("runner.core.times.datetime", Jumping)

    return set_by


@pytest.mark.slow
@pytest.mark.parametrize("jump_seconds", [-3600.0, 3600.0, -10 * YEAR_SECONDS])
def test_a_sweep_accounts_for_all_its_jobs_though_the_clock_jumps(run_tiny, tiny_zoo, set_clock, jump_seconds) -> None:
    ended = tiny_zoo / "sweep" / "0" / "result.json"
    set_clock(lambda: jump_seconds if ended.exists() else 0.0)
    told = run_tiny("-m", *BRIEF, "hydra.sweep.dir=sweep", "batch=1,3")
    assert "2 jobs: 2 done" in told.stdout
    assert "missing" not in told.stdout + told.stderr


@pytest.mark.slow
@pytest.mark.parametrize("offset_seconds", [-10 * YEAR_SECONDS, 10 * YEAR_SECONDS])
def test_what_was_made_at_another_time_is_reused(run_tiny, set_clock, offset_seconds: float) -> None:
    set_clock(lambda: offset_seconds)
    run_tiny(*BRIEF)
    set_clock(lambda: -2 * offset_seconds)
    assert run_tiny(*BRIEF).stderr.count(" reused ") == 2


@pytest.mark.slow
def test_a_measurement_is_not_disturbed_by_a_clock_that_jumps(run_tiny, tiny_zoo, set_clock) -> None:
    steps = itertools.count()
    set_clock(lambda: (-1) ** next(steps) * DAY_SECONDS)
    run_tiny("weights=random", "stages=[benchmark]")
    performance = json.loads((tiny_zoo / "out" / "result.json").read_text())["performance"]
    assert 0 < performance["latency_ms"]["min"] <= performance["latency_ms"]["max"] < 10_000


@pytest.mark.parametrize("offset_seconds", [-YEAR_SECONDS, YEAR_SECONDS])
def test_a_file_that_changes_is_hashed_again_whatever_the_clock_says(tmp_path, set_clock, offset_seconds) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    set_clock(lambda: offset_seconds)
    hashes = FileHashes(tmp_path / "hashes")
    (before,) = hashes(tmp_path, [path])
    path.write_text("two")
    os.utime(path, (0, 0))
    (after,) = hashes(tmp_path, [path])
    assert after != before
    assert after == sha256_of(path)

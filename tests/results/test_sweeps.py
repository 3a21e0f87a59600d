from pathlib import Path

import msgspec
import pytest

from runner.results import Sweep, SweepJob, sweeps

SWEEP = Sweep(created="2026-01-02T03:04:05.678+00:00", host="node1", jobs=(SweepJob("0", ("model=dqn", "batch=1")),))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    sweeps.write(tmp_path, SWEEP)
    assert sweeps.decode((tmp_path / "sweep.json").read_bytes()) == SWEEP


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "truncated"),
        (b'{"schema": 1}', "missing required field"),
        (b'{"schema": 2, "created": "", "host": "", "jobs": []}', "it has schema 2, and this runner reads 1"),
        (b'{"schema": 1, "created": "yesterday", "host": "", "jobs": []}', "yesterday"),
    ],
)
def test_what_is_no_sweep_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(msgspec.DecodeError, match=message):
        sweeps.decode(content)

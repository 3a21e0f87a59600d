from pathlib import Path

import pytest

from runner.core import DataError
from runner.results import Sweep, SweepJob, sweeps

SWEEP = Sweep(created="2026-01-02T03:04:05.678+00:00", host="node1", jobs=(SweepJob("0", ("model=dqn", "batch=1")),))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    sweeps.write(tmp_path, SWEEP)
    assert sweeps.read(tmp_path / "sweep.json") == SWEEP


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no list of a sweep's jobs"),
        ('{"schema": 1}', "missing required field"),
        ('{"schema": 2, "created": "", "host": "", "jobs": []}', "has schema 2, and this runner reads 1"),
    ],
)
def test_a_file_that_is_no_sweep_is_named(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(DataError, match=message) as error:
        sweeps.read(tmp_path / "sweep.json")
    assert str(tmp_path / "sweep.json") in error.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sweep\.json cannot be read: No such file"):
        sweeps.read(tmp_path / "sweep.json")

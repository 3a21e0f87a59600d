"""Whole runs of made-up configurations end with 0, 1 or 2 and a message; what once did not is tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import runs

pytestmark = [pytest.mark.fuzz, pytest.mark.slow]
RUNS = 200
PARTS = 4


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs.load_libraries()
    return runs.prepare(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("part", range(PARTS))
def test_any_configuration_runs_or_is_refused_with_a_message(part: int, home: Path) -> None:
    ends = {seed: runs.run(runs.made_up(seed), home) for seed in range(part, RUNS, PARTS)}
    assert {seed: (end.fault, end.text[-300:]) for seed, end in ends.items() if end.fault} == {}
    assert any(end.code == 0 for end in ends.values())


@pytest.mark.parametrize(("name", "case"), list(runs.kept()), ids=lambda value: value if isinstance(value, str) else "")
def test_what_once_broke_holds(name: str, case: runs.Case, home: Path) -> None:
    end = runs.run(case, home)
    assert not end.fault, end.text

"""What a dry run shows of a machine and a choice that would stop the run."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASCEND_HOME_PATH", raising=False)


def test_a_tool_that_cannot_serve_the_soc_has_no_commands(run_main) -> None:
    shown = run_main("model=dqn", "weights=random", "tool=ais_bench", "dry_run=true").stdout
    assert "# none: tool=ais_bench cannot serve soc=cpu" in shown
    assert "atc" not in shown


def test_what_a_host_without_a_card_lacks_is_said_once(run_main) -> None:
    no_script = "tool.environment_script=/nonexistent/set_env.sh"
    shown = run_main("model=dqn", "weights=random", "soc=310P3", no_script, "dry_run=true").stdout
    assert [line.split(":")[1] for line in shown.splitlines() if line.startswith("would stop")] == [
        " CANN is not set up",
        " ais_bench and aclruntime are not installed in tool.python=python3",
    ]


def test_it_leaves_no_folder(run_main, tmp_path: Path) -> None:
    run_main("model=dqn", "weights=random", "dry_run=true")
    assert list(tmp_path.glob("outputs/dqn/**/*")) == []


def test_how_the_number_of_measured_calls_is_found_is_said(run_main) -> None:
    shown = run_main("model=dqn", "weights=random", "soc=310P3", "dry_run=true", "benchmark.max_seconds=1").stdout
    assert (
        "# benchmark runs twice: 4 calls tell how long one takes; then as many as shown, more to last"
        " benchmark.min_seconds=1, fewer to end within benchmark.max_seconds=1\n"
    ) in shown


def test_arguments_for_a_tool_that_takes_none_are_a_problem(run_main) -> None:
    shown = run_main("model=dqn", "weights=random", "dry_run=true", "+tool.arguments.threads=4").stdout
    assert "would stop: tool.arguments is given, and tool=onnxruntime takes none" in shown

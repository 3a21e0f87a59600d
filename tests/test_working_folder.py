"""A folder of a stranger's, in which a user works: no code is taken from it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ("zoo/__init__", "zoo/evil", "hydra_plugins/evil", "dill", "argparse", "json", "yaml", "numpy", "sitecustomize")
"""Modules that a run imports, or looks for without their being installed."""
ROOT = Path(__file__).parents[1]
MZR = Path(sys.executable).with_name("mzr")


@pytest.fixture
def start(tmp_path: Path):
    """Start a program in the stranger's folder; return what it prints, after checking that none of its modules ran."""
    for name in NAMES:
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"import os\nos.mkdir({str(tmp_path / 'pwned')!r})\n")

    def run(*words: str, **variables: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **variables}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert not (tmp_path / "pwned").exists(), done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize("module", ["runner", "runner.list", "runner.diff", "runner.cache", "runner.new"])
def test_the_commands_import_nothing_from_it(module: str, start) -> None:
    assert start(sys.executable, "-m", module, "--help")


def test_a_run_imports_nothing_from_it(start) -> None:
    assert "plan" in start(sys.executable, "-m", "runner", "model=dqn", "weights=random", "dry_run=true")


def test_a_network_that_lies_in_it_is_not_found(start, tmp_path: Path) -> None:
    network = "model.network={_target_: zoo.evil.Net}"
    told = start(sys.executable, "-m", "runner", "model=dqn", "weights=random", network, "stages=[weights]")
    assert "zoo.evil" in told


@pytest.mark.skipif(not MZR.exists(), reason="the console script is not installed")
def test_an_empty_item_of_pythonpath_does_not_lead_there(start, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").unlink()  # Python itself imports it before any program
    told = start(str(MZR), "model=dqn", "weights=random", "dry_run=true", PYTHONPATH=f"{ROOT}{os.pathsep}")
    assert "plan" in told

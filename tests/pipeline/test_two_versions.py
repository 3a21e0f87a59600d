"""Two versions of the runner, each in processes of its own, on one cache."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.store.manifests import SCHEMA

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RUN = ("runner", "model=dqn", "weights=random", "stages=[export]", "cache_dir=cache")
OTHER_FORMAT = ("store/manifests.py", f"\nSCHEMA = {SCHEMA}\n", f"\nSCHEMA = {SCHEMA + 1}\n")
OTHER_EXPORT = ("stages/export.py", "\nlog = ", "\nOF_ANOTHER_VERSION = True\nlog = ")


@pytest.fixture
def version(tmp_path: Path) -> Callable[..., Callable[..., str]]:
    """A copy of the runner in which one text is replaced: its commands, which return what they print."""

    def copied(name: str, module: str, text: str, replacement: str) -> Callable[..., str]:
        for folder in ("runner", "conf", "zoo"):
            shutil.copytree(ROOT / folder, tmp_path / name / folder, ignore=shutil.ignore_patterns("__pycache__"))
        path = tmp_path / name / "runner" / module
        source = path.read_text()
        assert source.count(text) == 1
        path.write_text(source.replace(text, replacement))

        def run(*arguments: str) -> str:
            done = subprocess.run(
                [sys.executable, "-m", *arguments],
                cwd=tmp_path,
                env=os.environ | {"PYTHONPATH": str(tmp_path / name)},
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout + done.stderr

        return run

    return copied


def statuses(printed: str) -> dict[str, str]:
    """What became of each stage."""
    return dict(re.findall(r"^(\w+) +(ran|reused) +[\d.]+ s", printed, re.MULTILINE))


@pytest.mark.parametrize(
    ("change", "first_of_other"),
    [(OTHER_FORMAT, {"weights": "ran", "export": "ran"}), (OTHER_EXPORT, {"weights": "reused", "export": "ran"})],
    ids=["another format of the store", "another way to export"],
)
def test_two_versions_on_one_cache_keep_what_the_other_made(version, change, first_of_other: dict[str, str]) -> None:
    this, other = version("this", *change[:2], change[1]), version("other", *change)
    assert statuses(this(*RUN)) == {"weights": "ran", "export": "ran"}
    assert statuses(other(*RUN)) == first_of_other
    for run in (this, other):
        printed = run(*RUN)
        assert statuses(printed) == {"weights": "reused", "export": "reused"}
        assert "damaged" not in printed
        assert "damaged" not in run("runner.cache", "verify", "cache_dir=cache")
        assert "damaged" not in run("runner.cache", "cache_dir=cache")

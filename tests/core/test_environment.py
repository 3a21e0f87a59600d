import platform
import subprocess
from pathlib import Path

import pytest

from runner.core import environment


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout with one commit."""
    (tmp_path / "file").write_text("a")
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    return tmp_path


@pytest.fixture(autouse=True)
def _asked_anew() -> None:
    environment.commit.cache_clear()


def test_the_commit_of_a_checkout_is_told(checkout: Path) -> None:
    head = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert environment.commit(checkout) == head.stdout.strip()


def test_changes_to_the_checkout_are_told(checkout: Path) -> None:
    (checkout / "file").write_text("b")
    commit = environment.commit(checkout)
    assert commit is not None
    assert commit.endswith("+changes")


def test_a_folder_inside_a_checkout_is_none(checkout: Path) -> None:
    (checkout / "installed").mkdir()
    assert environment.commit(checkout / "installed") is None


def test_a_checkout_that_git_cannot_read_has_no_commit(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert environment.commit(tmp_path) is None


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert environment.commit(checkout) is None


def test_the_host_is_named() -> None:
    assert environment.describe({})["host"] == platform.node()

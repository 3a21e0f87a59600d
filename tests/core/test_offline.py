"""What code that builds networks is refused."""

import json
import os
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.core import ConfigError, offline

OUTSIDE = Path(__file__)
"""A file that can be read, and belongs to no package."""


@pytest.mark.parametrize(
    "act",
    [
        lambda: OUTSIDE.read_text(),
        lambda: Path("/proc/self/environ").read_bytes(),
        lambda: Path("/etc/passwd").read_text(),
        lambda: Path(json.__file__, "..", "..", "..", "..", "..", "..", "..", "etc", "hosts").resolve().read_text(),
        lambda: Path("made").write_text("x"),
        lambda: Path("made").mkdir(),
        lambda: Path("/nowhere/at/all").unlink(),
        lambda: socket.create_connection(("127.0.0.1", 9)),
        lambda: socket.getaddrinfo("localhost", 9),
        lambda: urllib.request.urlopen("http://127.0.0.1:9"),
        lambda: subprocess.run(["true"], check=True),
        lambda: os.system("true"),
    ],
)
def test_files_connections_and_programs_are_refused(act: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match=r"lib\.Net would"), offline.guard("lib.Net"):
        act()


def test_what_lies_in_a_package_is_read() -> None:
    with offline.guard("lib.Net"):
        assert Path(json.__file__).read_text()


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    """A file that says what a package is, beside the package's source, as `pip install -e` leaves it."""
    (tmp_path / "own.egg-info").mkdir()
    file = tmp_path / "own.egg-info" / "entry_points.txt"
    file.write_text("")
    return file


def test_metadata_of_what_can_be_imported_is_read(metadata: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(metadata.parents[1]))
    with offline.guard("lib.Net"):
        assert metadata.read_text() == ""


def test_metadata_of_what_cannot_be_imported_is_refused(metadata: Path) -> None:
    with pytest.raises(ConfigError, match="would read"), offline.guard("lib.Net"):
        metadata.read_text()


def test_after_the_block_nothing_is_refused() -> None:
    with offline.guard("lib.Net"):
        pass
    assert OUTSIDE.read_text()


def test_a_block_within_another_leaves_the_outer_one_guarded() -> None:
    with pytest.raises(ConfigError, match="outer would read"), offline.guard("outer"):
        with offline.guard("inner"):
            pass
        OUTSIDE.read_text()


def test_other_threads_go_on() -> None:
    read: list[str] = []
    with offline.guard("lib.Net"):
        thread = threading.Thread(target=lambda: read.append(OUTSIDE.read_text()))
        thread.start()
        thread.join()
    assert read

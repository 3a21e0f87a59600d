import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner import hashing, locks
from runner.hashing import CLOCK_TICK_NS, FileHashes

AGED_SECONDS = 2e-9 * CLOCK_TICK_NS
"""After so long a file's next change has another time."""


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_file_is_hashed(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert hashing.sha256_of(tmp_path / "a") == digest(b"abc")


def test_digests_come_in_the_order_asked(tmp_path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    hashes = FileHashes(tmp_path / "memory")
    assert hashes(tmp_path, [Path("b"), Path("a")]) == [digest(b"b"), digest(b"a")]


def test_an_untouched_file_is_not_read_again(tmp_path, monkeypatch) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    time.sleep(AGED_SECONDS)
    FileHashes(tmp_path / "memory")(tmp_path, [Path("a")])
    monkeypatch.setattr(hashing, "sha256_of", None)
    assert FileHashes(tmp_path / "memory")(tmp_path, [Path("a")]) == [digest(b"abc")]


def test_a_change_that_restores_size_and_mtime_is_noticed(tmp_path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    time.sleep(AGED_SECONDS)
    status = path.stat()
    hashes = FileHashes(tmp_path / "memory")
    hashes(tmp_path, [Path("a")])
    path.write_bytes(b"abd")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert hashes(tmp_path, [Path("a")]) == [digest(b"abd")]


def test_a_damaged_memory_costs_one_more_hashing(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    hashes = FileHashes(tmp_path / "memory")
    hashes(tmp_path, [Path("a")])
    for memory in (tmp_path / "memory").iterdir():
        memory.write_bytes(b'{"half')
    assert hashes(tmp_path, [Path("a")]) == [digest(b"abc")]


def test_a_changed_bit_of_the_memory_is_not_believed(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    time.sleep(AGED_SECONDS)
    hashes = FileHashes(tmp_path / "memory")
    hashes(tmp_path, [Path("a")])
    (memory,) = (tmp_path / "memory").iterdir()
    memory.write_bytes(memory.read_bytes().replace(digest(b"abc").encode(), digest(b"abd").encode()))
    assert hashes(tmp_path, [Path("a")]) == [digest(b"abc")]


def test_a_file_changed_within_a_tick_of_its_file_systems_clock_is_noticed(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    monkeypatch.setattr(hashing, "stat_of", lambda path: (3, 0, time.time_ns(), 0))  # it has not ticked
    hashes = FileHashes(tmp_path / "memory")
    hashes(tmp_path, [Path("a")])
    path.write_bytes(b"abd")
    assert hashes(tmp_path, [Path("a")]) == [digest(b"abd")]


def test_digests_are_told_where_the_memory_cannot_be_written(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "file").write_bytes(b"")
    assert FileHashes(tmp_path / "file" / "memory")(tmp_path, [Path("a")]) == [digest(b"abc")]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a"
    hashing.write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        hashing.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from runner import hashing

os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
hashing.write_atomically(Path(sys.argv[1]), b"killed")
"""


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    assert subprocess.run([sys.executable, "-c", KILLED_WRITER, path]).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    hashing.write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_another_writer_has_not_finished_is_left_to_it(tmp_path) -> None:
    other = tmp_path / ".a.0123.partial"
    with locks.create_alone(other):
        hashing.write_atomically(tmp_path / "a", b"new")
        assert other.exists()


def test_writers_of_one_file_in_threads_leave_one_whole_file(tmp_path) -> None:
    contents = [bytes([index]) * 4096 for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: hashing.write_atomically(tmp_path / "a", data), contents * 20))
    assert (tmp_path / "a").read_bytes() in contents
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]

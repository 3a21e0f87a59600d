import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from runner.core import hashing
from runner.core.hashing import CLOCK_TICK_NS, FileHashes

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


def test_no_link_is_followed_to_write_the_memory(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "memory").symlink_to(tmp_path / "elsewhere")
    assert FileHashes(tmp_path / "memory")(tmp_path, [Path("a")]) == [digest(b"abc")]
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_process_that_is_held_to_one_core_counts_one() -> None:
    command = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from runner.core import hashing; "
    command += "print(hashing.core_count())"
    printed = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True, timeout=60)
    assert printed.stdout.strip() == "1"

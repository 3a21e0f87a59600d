"""A trial of the folder that holds a store: do locks and renames there work between two processes?

That it passed is remembered in the store as an empty folder, `checked/<digest of the mount and the kernel>`.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.core import StoreError, entries_in, make_folder, os_errors

FOLDER = "checked"
LOCK = "lock"
ANSWER_SECONDS = 20.0
"""How long the other process may take to start, lock and rename. Locks of an NFS server that is down never answer."""
RELEASE_SECONDS = 5.0
CONTENT = b"whole"
MOUNTS = Path("/proc/self/mountinfo")

_OTHER_PROCESS = """
import fcntl, os, sys
folder = sys.argv[1]
try:
    fcntl.flock(os.open(folder + "/lock", os.O_RDWR), fcntl.LOCK_EX)
    os.rename(folder + "/before", folder + "/after")
    print(flush=True)
except OSError as error:
    print("renames fail" if error.filename else "locks fail", f"({error.strerror})", flush=True)
sys.stdin.read()
"""
"""Locks a file, renames a folder, prints what failed or an empty line, and holds the lock until it is killed."""
_KEPT_ON_HOST = frozenset({"nolock", "local_lock=all", "local_lock=flock", "localflock", "nobrl"})
"""Mount options by which locks hold on one host only: man pages nfs(5), mount.lustre(8), mount.cifs(8)."""
_WITHOUT_COORDINATION = frozenset({"s3fs", "obsfs", "goofys", "gcsfuse", "rclone", "sshfs"})
"""Object stores and remote folders, mounted by FUSE, whose locks the kernel keeps on one host."""


@dataclass(frozen=True)
class Mount:
    """A mounted file system, as Linux tells it; the fields are empty on systems that do not."""

    point: str = ""
    kind: str = ""
    source: str = ""
    options: str = ""


def check(root: Path, mounts: str | None = None) -> str:
    """Try locks and renames below `root`, once per mount and kernel; return what holds on this host only, if anything.

    A folder that cannot be written is not tried: a stage that has to write there says so. `mounts` are the lines of
    /proc/self/mountinfo, read if they are not given.

    Raises:
        StoreError: locks or renames do not work there, or its folder of passed trials is not trusted.
    """
    mount = mount_of(root, _mounts() if mounts is None else mounts)
    passed = root / FOLDER / hashlib.sha256(f"{mount} {os.uname().release}".encode()).hexdigest()[:32]
    fault = ""
    with suppress(OSError):
        if passed not in entries_in(passed.parent, root):
            make_folder(passed.parent, root)
            with tempfile.TemporaryDirectory(dir=passed.parent, prefix=".", ignore_cleanup_errors=True) as folder:
                fault = _fault_of(Path(folder))
            if not fault:
                passed.mkdir(exist_ok=True)
    if fault:
        raise StoreError(
            f"{root}: {fault}, so runs that share it would damage each other's artifacts",
            f"choose a folder on a local disk with {os_errors.CACHE_DIR}; docs/sweeps.md names shared ones that do",
        )
    return _remark(root, mount)


def mount_of(path: Path, mounts: str) -> Mount:
    """Return the mount that a path lies on, from the lines of /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    place = path.resolve()
    found = Mount()
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, described = before.split(" "), after.split(" ")
        if len(fields) < 6 or len(described) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        if place.is_relative_to(point) and len(point) >= len(found.point):  # a later one hides an earlier one
            found = Mount(point, described[0], described[1], f"{fields[5]},{described[2]}")
    return found


def _mounts() -> str:
    try:
        return MOUNTS.read_text(errors="surrogateescape")
    except OSError:
        return ""


def _remark(root: Path, mount: Mount) -> str:
    local = sorted(_KEPT_ON_HOST & set(mount.options.split(",")))
    kind = mount.kind.removeprefix("fuse.")
    if not local and kind not in _WITHOUT_COORDINATION:
        return ""
    why = f"mounted with {local[0]}" if local else f"mounted by {kind}"
    return f"{root} is {why}: its locks hold on this host only; do not share it with runs on other hosts"


def _fault_of(folder: Path) -> str:
    """Let another process lock a file and rename a folder; return what did not work, or nothing.

    Raises:
        OSError: the folder cannot be written.
    """
    (folder / LOCK).touch()
    before = folder / "before"
    before.mkdir()
    (before / "file").write_bytes(CONTENT)
    command = [sys.executable, "-I", "-S", "-c", _OTHER_PROCESS, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as other:
        try:
            return _told_by(other) or _fault_beside(other, folder)
        finally:
            other.kill()


def _told_by(other: subprocess.Popen[str]) -> str:
    """Return what failed in the other process. Raises OSError if it ended without a word."""
    assert other.stdout is not None
    if not select.select([other.stdout], [], [], ANSWER_SECONDS)[0]:
        return f"a lock was not given within {ANSWER_SECONDS:g} s"
    told = other.stdout.readline()
    if not told:
        raise ChildProcessError("the other process could not be started")
    return told.strip()


def _fault_beside(other: subprocess.Popen[str], folder: Path) -> str:
    """Return what is wrong here while the other process holds its lock, and after it is killed."""
    with (folder / LOCK).open("r+b") as file:
        if _is_given(file.fileno()):
            return "a lock that one process holds is given to another"
        if (folder / "before").exists() or not _is_whole(folder / "after" / "file"):
            return "a folder that one process renamed is not seen whole by another"
        other.kill()
        give_up_at = time.monotonic() + RELEASE_SECONDS
        while not _is_given(file.fileno()):
            if time.monotonic() > give_up_at:
                return "the lock of a process that was killed is not released"
            time.sleep(0.001)
    return ""


def _is_whole(file: Path) -> bool:
    try:
        return file.read_bytes() == CONTENT
    except FileNotFoundError:
        return False


def _is_given(descriptor: int) -> bool:
    """Return whether the lock is given at once."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True

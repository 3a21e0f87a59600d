"""What the folder of a store must offer is tried between two real processes; a preloaded library takes it away."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.core import StoreError
from runner.store import Store, inventory, pruning, trial

FLOCK = "int flock(int descriptor, int operation) {{ {body} }}"
RENAME = "int rename(const char *from, const char *to) {{ {body} }}"
REFUSED = "errno = {number}; return -1;"
LOCAL = "25 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw"
CHECK = """
from pathlib import Path
from runner.store import trial
trial.{seconds}
print(trial.check(Path({root!r})))
"""


def output_without(folder: Path, function: str, *command: str, prelude: str = "") -> str:
    """What a command prints in processes whose C library has `function` in place of its own."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source, library = folder / "library.c", folder / "library.so"
    source.write_text(f"#define _GNU_SOURCE\n#include <errno.h>\n#include <unistd.h>\n{prelude}\n{function}\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", library, source], check=True)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr


def checked_without(folder: Path, function: str, prelude: str = "", seconds: str = "ANSWER_SECONDS = 20.0") -> str:
    return output_without(
        folder, function, "-c", CHECK.format(seconds=seconds, root=str(folder / "store")), prelude=prelude
    )


def test_a_folder_on_this_disk_passes_and_that_is_remembered(tmp_path) -> None:
    assert trial.check(tmp_path) == ""
    (passed,) = (tmp_path / trial.FOLDER).iterdir()
    changed_ns = passed.stat().st_mtime_ns
    assert trial.check(tmp_path) == ""
    assert passed.stat().st_mtime_ns == changed_ns


def test_another_mount_is_tried_again(tmp_path) -> None:
    trial.check(tmp_path, LOCAL)
    trial.check(tmp_path, LOCAL.replace("/dev/sda1", "/dev/sdb1"))
    assert len(list((tmp_path / trial.FOLDER).iterdir())) == 2


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_folder_without_locks_is_refused(tmp_path, number: int) -> None:
    told = checked_without(tmp_path, FLOCK.format(body=REFUSED.format(number=number)))
    assert f"{tmp_path / 'store'}: locks fail ({os.strerror(number)})" in told
    assert "cache_dir=DIR" in told
    assert list((tmp_path / "store" / trial.FOLDER).iterdir()) == []


def test_locks_that_exclude_nobody_are_refused(tmp_path) -> None:
    assert "a lock that one process holds is given to another" in checked_without(
        tmp_path, FLOCK.format(body="return 0;")
    )


def test_locks_that_never_answer_are_refused(tmp_path) -> None:
    told = checked_without(tmp_path, FLOCK.format(body="pause(); return 0;"), seconds="ANSWER_SECONDS = 0.5")
    assert "a lock was not given within 0.5 s" in told


def test_a_lock_that_outlives_its_process_is_refused(tmp_path) -> None:
    first_comes = (
        f'if (open("{tmp_path}/held", O_CREAT | O_EXCL, 0600) >= 0) return 0; {REFUSED.format(number=errno.EAGAIN)}'
    )
    told = checked_without(
        tmp_path, FLOCK.format(body=first_comes), "#include <fcntl.h>", seconds="RELEASE_SECONDS = 0.1"
    )
    assert "the lock of a process that was killed is not released" in told


@pytest.mark.parametrize("body", [REFUSED.format(number=errno.EPERM), REFUSED.format(number=errno.EXDEV)])
def test_a_folder_in_which_folders_cannot_be_renamed_is_refused(tmp_path, body: str) -> None:
    assert "renames fail" in checked_without(tmp_path, RENAME.format(body=body))


@pytest.mark.parametrize("body", ["return mkdir(to, 0700);", 'return chdir(from) || unlink("file") || rmdir(from);'])
def test_a_rename_that_is_a_copy_or_half_done_is_refused(tmp_path, body: str) -> None:
    told = checked_without(tmp_path, RENAME.format(body=body), "#include <sys/stat.h>")
    assert "is not seen whole by another" in told


def test_a_folder_that_cannot_be_made_is_left_to_the_stage_that_writes(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    assert trial.check(tmp_path / "file" / "store") == ""


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ("nfs nas:/pool rw,vers=3,nolock,local_lock=all,addr=10.0.0.1", "mounted with local_lock=all"),
        ("nfs4 nas:/pool rw,vers=4.2,local_lock=flock", "mounted with local_lock=flock"),
        ("lustre mds:/pool rw,localflock", "mounted with localflock"),
        ("cifs //nas/pool rw,nobrl", "mounted with nobrl"),
        ("fuse.s3fs s3fs rw,user_id=0", "mounted by s3fs"),
        ("nfs4 nas:/pool rw,vers=4.2,local_lock=none", ""),
        ("lustre mds:/pool rw,flock", ""),
    ],
)
def test_locks_that_hold_on_one_host_only_are_told(tmp_path, described: str, told: str) -> None:
    remark = trial.check(tmp_path / "cache", f"{LOCAL}\n30 25 0:40 / {tmp_path} rw - {described}")
    assert told in remark
    assert bool(told) == ("its locks hold on this host only" in remark)


def test_a_mount_is_found_by_its_longest_point_and_the_last_of_one_point() -> None:
    lines = [LOCAL, r"30 25 0:40 / /a\040b rw - nfs4 one:/x rw", r"31 25 0:41 / /a\040b rw - nfs4 two:/x rw", "broken"]
    assert trial.mount_of(Path("/a b/c"), "\n".join(lines)).source == "two:/x"
    assert trial.mount_of(Path("/a bc"), "\n".join(lines)).source == "/dev/sda1"
    assert trial.mount_of(Path("/x"), "") == trial.Mount()


@pytest.mark.slow
def test_a_run_tries_the_folder_before_its_first_stage(tmp_path) -> None:
    run = ("-m", "runner", "model=dqn", "weights=random", "stages=[weights]", "cache_dir=store")
    told = output_without(tmp_path, FLOCK.format(body=REFUSED.format(number=errno.ENOLCK)), *run)
    assert "error: preflight:" in told
    assert "locks fail (No locks available)" in told
    assert not (tmp_path / "store" / "weights").exists()


def test_a_listing_leaves_the_trial_out_and_prune_removes_what_a_killed_one_left(tmp_path) -> None:
    trial.check(tmp_path)
    left = tmp_path / trial.FOLDER / ".left"
    left.mkdir()
    (left / trial.LOCK).touch()
    assert inventory.take(Store(tmp_path).root, ()).foreign == ()
    pruning.remove_leftovers(tmp_path)
    assert not left.exists()
    assert len(list((tmp_path / trial.FOLDER).iterdir())) == 1


def test_a_link_in_place_of_its_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / trial.FOLDER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is a link"):
        trial.check(tmp_path / "cache")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_link_in_place_of_a_passed_trial_is_no_trial(tmp_path: Path) -> None:
    trial.check(tmp_path / "cache")
    (passed,) = (tmp_path / "cache" / trial.FOLDER).iterdir()
    passed.rmdir()
    passed.symlink_to(tmp_path)
    trial.check(tmp_path / "cache")
    assert passed.is_symlink()


def test_what_a_trial_left_that_was_killed_while_it_cleaned_up_is_removed(tmp_path: Path) -> None:
    left = tmp_path / trial.FOLDER / ".left" / "after"
    left.mkdir(parents=True)
    (left / "file").write_bytes(trial.CONTENT)
    pruning.remove_leftovers(tmp_path)
    assert not left.parent.exists()

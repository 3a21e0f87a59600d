"""A cache that others may write: links, FIFOs and what other users planted are neither followed nor opened."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.core import FileHashes, Predictions, StoreError, entries_in, locks
from runner.store import Store, inventory, manifests, pruning, trial

NOBODY = 65534
OTHER = 65533
SHARED = 0o2770

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")


def made(folder: Path) -> tuple[Predictions, tuple[()]]:
    path = folder / "predictions.npz"
    path.write_bytes(b"1, 2, 3")
    return Predictions(path, "s" * 64, ("class",), 3), ()


def get(root: Path, key: str = "k", resumes: bool = True) -> Path:
    entry, _ = Store(root).get_or_make("infer", key, Predictions, made, resumes=resumes)
    return entry.artifact.path


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "predictions.npz").write_bytes(b"the victim's")
    return folder


def test_a_link_in_place_of_an_unfinished_folder_is_not_followed(tmp_path: Path, victim: Path) -> None:
    root = tmp_path / "cache"
    (root / "partial").mkdir(parents=True)
    for name in ("infer-k", f"infer-k.{os.geteuid()}", "infer-k.old"):
        (root / "partial" / name).symlink_to(victim)
    assert get(root).read_bytes() == b"1, 2, 3"
    assert [path.read_bytes() for path in victim.iterdir()] == [b"the victim's"]


@pytest.mark.parametrize("name", ["partial", "locks", "infer"])
def test_a_link_in_place_of_a_folder_of_the_store_is_told(name: str, tmp_path: Path, victim: Path) -> None:
    root = tmp_path / "cache"
    root.mkdir()
    (root / name).symlink_to(victim)
    with pytest.raises(StoreError, match="is a link"):
        get(root)
    assert [path.name for path in victim.iterdir()] == ["predictions.npz"]


@pytest.mark.parametrize(
    "plant", [lambda path, victim: path.symlink_to(victim / "new"), lambda path, _: os.mkfifo(path)]
)
def test_what_is_planted_as_a_mark_makes_no_file_elsewhere_and_is_not_waited_for(
    plant: Callable[[Path, Path], None], tmp_path: Path, victim: Path
) -> None:
    root = tmp_path / "cache"
    (root / "in_use").mkdir(parents=True)
    plant(root / "in_use" / "infer-k", victim)
    assert get(root).exists()
    assert not (victim / "new").exists()
    assert not inventory.is_held(root / "in_use" / "none")
    assert locks.try_alone(root / "in_use" / "infer-k") is None


@pytest.mark.parametrize("name", ["artifact.json", "predictions.npz"])
@pytest.mark.parametrize(
    "plant",
    [
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.mkdir(),
    ],
)
def test_what_is_planted_in_an_artifact_is_damage(name: str, plant: Callable[[Path], None], tmp_path: Path) -> None:
    path = get(tmp_path).with_name(name)
    path.unlink()
    plant(path)
    (listed,) = inventory.take(tmp_path, ["infer"]).artifacts
    assert listed.damage is not None
    assert get(tmp_path).read_bytes() == b"1, 2, 3"


@pytest.mark.parametrize("plant", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_planted_digests_are_not_read(plant: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(b"a")
    hashes = FileHashes(tmp_path / "cache" / "hashes")
    (digest,) = hashes(tmp_path / "data", [Path("a")])
    time.sleep(0.05)
    hashes(tmp_path / "data", [Path("a")])
    (remembered,) = (tmp_path / "cache" / "hashes").iterdir()
    remembered.unlink()
    plant(remembered)
    assert hashes(tmp_path / "data", [Path("a")]) == [digest]


def test_pruning_touches_no_file_elsewhere(tmp_path: Path, victim: Path) -> None:
    root = tmp_path / "cache"
    get(root)
    mark = root / "in_use" / "infer-k"
    mark.unlink()
    mark.symlink_to(victim / "new")
    with pytest.raises(StoreError):
        pruning.remove_artifacts(root, inventory.take(root, ["infer"]).artifacts)
    assert not (victim / "new").exists()


def test_a_folder_in_which_an_artifact_is_made_is_the_makers_alone(tmp_path: Path) -> None:
    modes = []

    def make(folder: Path) -> tuple[Predictions, tuple[()]]:
        modes.append(folder.stat().st_mode & 0o777)
        return made(folder)

    entry, _ = Store(tmp_path).get_or_make("infer", "k", Predictions, make)
    assert modes == [0o700]
    assert entry.artifact.path.parent.stat().st_mode & 0o777 == 0o755


BY_USER = """
import os, sys
sys.path[:0] = sys.argv[5:]
from pathlib import Path
import encodings.idna, rich.filesize
from test_others import made
from runner.core import Predictions, RunnerError
from runner.store import Store
os.setgroups([int(sys.argv[3])] if sys.argv[3] else [])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))  # last: the interpreter's own files may be root's alone
try:
    entry, is_new = Store(Path(sys.argv[4])).get_or_make("infer", "k", Predictions, made)
    print("made" if is_new else "reused", entry.artifact.path.read_bytes().decode())
except RunnerError as error:
    print(error)
"""


def as_user(user: int, root: Path, group: int | str = "") -> str:
    """Get the artifact as another user does; return what is printed."""
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    command = [sys.executable, "-c", BY_USER, str(user), str(user), str(group), str(root), *paths]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that every user can reach."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder / "cache"
    shutil.rmtree(folder)


@as_root
def test_two_users_of_a_group_share_a_folder_that_passes_its_group_on(root: Path) -> None:
    root.mkdir()
    os.chown(root, 0, 4242)
    root.chmod(SHARED)
    assert as_user(NOBODY, root, 4242) == "made 1, 2, 3"
    assert as_user(OTHER, root, 4242) == "reused 1, 2, 3"


@as_root
def test_what_another_user_made_is_not_used_in_a_folder_that_everybody_may_write(root: Path) -> None:
    root.mkdir()
    root.chmod(0o777)
    assert as_user(NOBODY, root) == "made 1, 2, 3"
    assert "belongs to another user (65534)" in as_user(OTHER, root)
    assert "docs/shared_cache.md" in as_user(OTHER, root)


@as_root
def test_bytes_changed_by_another_user_are_noticed(root: Path) -> None:
    root.mkdir()
    root.chmod(0o777)
    path = get(root)
    path.chmod(0o666)
    path.write_bytes(b"3, 2, 1")
    assert get(root).read_bytes() == b"1, 2, 3"


@pytest.mark.parametrize("name", ["partial", "locks", "in_use", "hashes", "batches", "libraries", "checked"])
def test_pruning_a_store_with_a_link_in_place_of_a_folder_removes_nothing_behind_it(
    name: str, tmp_path: Path, victim: Path
) -> None:
    root = tmp_path / "cache"
    root.mkdir()
    (root / name).symlink_to(victim)
    os.utime(victim / "predictions.npz", (0, 0))
    with pytest.raises(StoreError, match="is a link"):
        pruning.remove_leftovers(root, hashes_unused_since=time.time())
    assert [path.read_bytes() for path in victim.iterdir()] == [b"the victim's"]


def test_a_link_in_place_of_a_runs_batches_is_left_alone(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "cache" / "batches").mkdir(parents=True)
    (tmp_path / "cache" / "batches" / "run").symlink_to(victim)
    pruning.remove_leftovers(tmp_path / "cache")
    assert [path.read_bytes() for path in victim.iterdir()] == [b"the victim's"]


@pytest.mark.parametrize("name", ["partial", "locks", "in_use", "hashes", "libraries", "batches", trial.FOLDER])
def test_what_another_process_removes_while_leftovers_are_removed_is_no_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entries(folder: Path, root: Path) -> list[Path]:
        return [folder / ".gone.partial"] if folder == tmp_path / name else entries_in(folder, root)

    monkeypatch.setattr(pruning, "entries_in", entries)
    pruning.remove_leftovers(tmp_path, hashes_unused_since=time.time())


def test_an_artifact_that_another_process_removes_while_the_store_is_listed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = get(tmp_path).parent
    read = manifests.read

    def read_and_remove(*arguments: Path) -> manifests.Manifest:
        manifest = read(*arguments)
        shutil.rmtree(folder)
        return manifest

    monkeypatch.setattr(manifests, "read", read_and_remove)
    (listed,) = inventory.take(tmp_path, ["infer"]).artifacts
    assert (listed.size_bytes, listed.damage) == (0, "predictions.npz is missing")

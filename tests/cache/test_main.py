"""`python -m runner.cache`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.cache import __main__ as cache
from runner.config import libraries
from runner.core import ConfigError, FileHashes, Predictions, StoreError
from runner.stages import order
from runner.store import Listed, Store, inventory, pruning
from runner.store.inventory import to_prune

DAY = 86400.0


def stored(root: Path, key: str = "k", text: str = "abc", used_days_ago: float = 0, stage: str = "infer") -> Path:
    """An artifact's folder, made and last used some days ago."""
    store = Store(root, "dqn")
    out = store.staging_folder(stage, key, resumes=False)
    (out / "predictions.npz").write_text(text)
    with store.locked(stage, key, lambda: None):
        made = store.publish(stage, key, Predictions(out / "predictions.npz", "digest", ("a",), 3), 1.5)
    folder = made.artifact.path.parent
    used_at = time.time() - used_days_ago * DAY
    os.utime(folder / "artifact.json", (used_at, used_at))
    return folder


@pytest.fixture
def run_cache(capsys, tmp_path):
    """`python -m runner.cache ...` on the store in tmp_path; returns what it prints."""

    def run(*arguments: str, code: int = 0) -> str:
        assert cache.main([*arguments, f"cache_dir={tmp_path}"]) == code
        captured = capsys.readouterr()
        return captured.out + captured.err

    return run


def test_the_list_tells_stage_key_size_times_and_model(tmp_path, run_cache) -> None:
    stored(tmp_path, text="x" * 5000, used_days_ago=2)
    told = run_cache()
    (row,) = (line for line in told.splitlines() if line.startswith(" infer"))
    assert row.split()[:2] == ["infer", "k"]
    assert "5.5 kB" in row or "5.6 kB" in row
    assert time.strftime("%Y-%m-%d", time.localtime(time.time() - 2 * DAY)) in row
    assert "dqn" in row
    assert "1 artifacts" in told


def test_a_list_for_programs(tmp_path, run_cache) -> None:
    stored(tmp_path)
    (one,) = json.loads(run_cache("list", "--json"))["artifacts"]
    assert (one["stage"], one["key"], one["model"], one["in_use"], one["damage"]) == ("infer", "k", "dqn", False, None)


def test_a_folder_that_is_not_there_is_refused_where_it_was_typed(tmp_path, capsys) -> None:
    assert cache.main(["list", "--cache-dir", str(tmp_path / "none")]) == 1
    assert "none, which is no folder" in capsys.readouterr().err


def test_a_store_that_is_not_there_holds_nothing(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert cache.main([]) == 0
    assert "nothing is stored" in capsys.readouterr().out


def test_the_list_tells_what_an_artifact_is_of(tmp_path, run_cache) -> None:
    stored(tmp_path)
    assert "count=3" in run_cache()


def test_a_store_that_is_a_file_is_refused(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert cache.main([f"cache_dir={tmp_path / 'file'}"]) == 1
    assert "file, which is no folder" in capsys.readouterr().err


def test_foreign_files_are_named_and_left_alone(tmp_path, run_cache) -> None:
    stored(tmp_path, used_days_ago=100)
    foreign = [tmp_path / "notes.txt", tmp_path / "photos" / "a.jpg", tmp_path / "infer" / "readme"]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    told = run_cache()
    assert all(f"left alone: {path}" in told for path in (tmp_path / "notes.txt", tmp_path / "photos", foreign[2]))
    run_cache("prune", "--to", "0B")
    run_cache("verify", "--remove")
    assert all(path.read_text() == "mine" for path in foreign)
    assert not (tmp_path / "infer" / "k").exists()


def test_what_libraries_said_is_not_foreign(tmp_path, run_cache) -> None:
    stored(tmp_path)
    libraries.catalogue_of("torchvision", tmp_path)
    assert "left alone" not in run_cache()


def test_damage_is_listed_verified_and_removed(tmp_path, run_cache) -> None:
    good, bad = stored(tmp_path, "good"), stored(tmp_path, "bad")
    (bad / "predictions.npz").write_text("abd")
    assert "damaged: predictions.npz has other bytes than were stored" in run_cache()
    told = run_cache("verify", code=1)
    assert f"damaged: {bad}: predictions.npz has other bytes" in told
    assert "1 of 2 artifacts are whole" in told
    run_cache("verify", "--remove", code=1)
    assert not bad.exists() and good.exists()
    assert "1 of 1 artifacts are whole" in run_cache("verify")


def test_verify_finds_what_shows_only_in_the_bytes(tmp_path, run_cache, monkeypatch) -> None:
    folder = stored(tmp_path)
    stat = Store(tmp_path).find("infer", "k", Predictions) and (folder / "predictions.npz").stat()
    (folder / "predictions.npz").write_text("abd")
    told = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    monkeypatch.setattr("runner.store.manifests.stat_of", lambda path: told)  # as bits that flip on the disk
    assert "damaged" not in run_cache()
    assert "damaged" in run_cache("verify", code=1)


def listed(key: str, size_bytes: int, used_at: float, in_use: bool = False) -> Listed:
    return Listed(
        stage="infer",
        key=key,
        size_bytes=size_bytes,
        made_at=None,
        used_at=used_at,
        model="dqn",
        detail="",
        in_use=in_use,
        damage=None,
    )


@pytest.mark.parametrize(
    ("to_bytes", "older_than_seconds", "chosen"),
    [
        (None, None, ""),
        (60, None, ""),
        (59, None, "a"),
        (30, None, "ab"),
        (0, None, "abd"),
        (None, 60, "ab"),
        (None, 100, ""),
        (30, 95, "ab"),
        (None, 0, "abd"),
    ],
)
def test_the_least_recently_used_go_first_and_never_what_is_in_use(to_bytes, older_than_seconds, chosen) -> None:
    artifacts = [listed("d", 20, 90), listed("a", 10, 10), listed("c", 10, 30, in_use=True), listed("b", 20, 20)]
    assert "".join(one.key for one in to_prune(artifacts, 100, to_bytes, older_than_seconds)) == chosen


def test_pruning_by_size_and_by_age(tmp_path, run_cache) -> None:
    for days in (1, 10, 40):
        stored(tmp_path, f"k{days}", "x" * 10000, used_days_ago=days)
    assert "1 artifacts removed, 2 left" in run_cache("prune", "--older-than", "30d")
    assert "removed: infer k10" in run_cache("prune", "--to", "15kB")
    assert [path.name for path in (tmp_path / "infer").iterdir()] == ["k1"]
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["infer-k1.lock"]


def test_what_a_running_job_has_pinned_stays_until_it_ends(tmp_path, run_cache) -> None:
    folder = stored(tmp_path, used_days_ago=100)
    job = Store(tmp_path)
    assert job.pin("infer", "k", Predictions) is not None
    assert "in use" in run_cache()
    told = run_cache("prune", "--to", "0B")
    assert folder.exists()
    assert "the rest is in use by running jobs" in told
    job.close()
    run_cache("prune", "--to", "0B")
    assert not folder.exists()


USING = """
import sys, time
from pathlib import Path
from runner.core import Predictions
from runner.store import Store
store = Store(Path(sys.argv[1]))
print(store.pin("infer", sys.argv[2], Predictions), flush=True)
time.sleep(600)
"""


def using(root: Path, key: str = "k") -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", USING, root, key], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline()
    return process


def test_a_job_that_is_killed_uses_nothing_any_more(tmp_path, run_cache) -> None:
    folder = stored(tmp_path)
    with using(tmp_path) as job:
        assert "0 artifacts removed" in run_cache("prune", "--to", "0B")
        job.send_signal(signal.SIGKILL)
        job.wait(timeout=60)
        assert "1 artifacts removed" in run_cache("prune", "--to", "0B")
    assert not folder.exists()


def test_what_is_pinned_after_it_was_listed_stays(tmp_path) -> None:
    folder = stored(tmp_path)
    chosen = inventory.take(tmp_path, order.STORED).artifacts
    job = Store(tmp_path)
    job.pin("infer", "k", Predictions)
    assert pruning.remove_artifacts(tmp_path, chosen) == ([], list(chosen))
    assert folder.exists()


PINNING = """
import sys
from pathlib import Path
from runner.core import Predictions
from runner.store import Store

pinned = 0
for _ in range(int(sys.argv[2])):
    store = Store(Path(sys.argv[1]), "dqn")
    found = store.pin("infer", "k", Predictions)
    if found is None:
        with store.locked("infer", "k", lambda: None):
            found = store.pin("infer", "k", Predictions) or store.recover("infer", "k", Predictions)
            if found is None:
                out = store.staging_folder("infer", "k", resumes=False)
                (out / "predictions.npz").write_text("abc")
                found = store.publish("infer", "k", Predictions(out / "predictions.npz", "d", ("a",), 3), 1.0)
    assert found.artifact.path.read_text() == "abc"
    assert found.artifact.path.read_text() == "abc"
    store.close()
    pinned += 1
print(pinned)
"""


def test_pinning_and_pruning_at_once_never_pins_what_vanishes(tmp_path, run_cache) -> None:
    rounds = 150
    jobs = [
        subprocess.Popen([sys.executable, "-c", PINNING, tmp_path, str(rounds)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    removed = 0
    while any(job.poll() is None for job in jobs):
        removed += len(json.loads(run_cache("prune", "--to", "0B", "--json"))["removed"])
    assert [(job.communicate(timeout=60)[0], job.returncode) for job in jobs] == [(f"{rounds}\n", 0)] * 3
    assert removed > 0
    assert list((tmp_path / "partial").iterdir()) == []


def test_a_partial_folder_goes_when_nobody_is_at_it(tmp_path, run_cache) -> None:
    store = Store(tmp_path)
    store.staging_folder("prepare", "dead", resumes=True)
    with store.locked("prepare", "alive", lambda: None):
        alive = store.staging_folder("prepare", "alive", resumes=True)
        told = run_cache()
        assert f"being made: {alive}" in told
        assert f"nobody is at it: {tmp_path / 'partial' / 'prepare-dead'}" in told
        run_cache("prune")
        assert [path.name for path in (tmp_path / "partial").iterdir()] == [f"prepare-alive.{os.geteuid()}"]


def test_what_killed_processes_left_goes_without_a_word(tmp_path, run_cache) -> None:
    stored(tmp_path)
    left = [
        tmp_path / "locks" / "export-gone.lock",
        tmp_path / "in_use" / "export-gone",
        tmp_path / "hashes" / ".a.json.0123.partial",
        tmp_path / "batches" / "run" / "1",
        tmp_path / "partial" / "infer-k.old",
    ]
    kept = [tmp_path / "batches" / "other" / "1", tmp_path / "locks" / "infer-k.lock"]
    for path in (*left, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("k" if path in kept else "gone")
    run_cache("prune")
    assert [path for path in left if path.exists()] == []
    assert [path for path in kept if not path.exists()] == []
    assert not (tmp_path / "batches" / "run").exists()


def test_digests_of_input_files_go_when_they_are_old(tmp_path, run_cache) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("abc")
    FileHashes(tmp_path / "hashes")(tmp_path / "data", [Path("a")])
    (memory,) = (tmp_path / "hashes").iterdir()
    run_cache("prune", "--older-than", "1d")
    assert memory.exists()
    os.utime(memory, (0, 0))
    run_cache("prune", "--older-than", "1d")
    assert not memory.exists()


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("20GB", 20 * 10**9), ("500MiB", 500 << 20), ("0", 0), ("1.5k", 1500), ("7 B", 7)]
)
def test_sizes_are_read(text, size_bytes) -> None:
    assert cache.parse_size(text) == size_bytes


@pytest.mark.parametrize(("text", "seconds"), [("30d", 30 * DAY), ("12h", DAY / 2), ("1.5m", 90), ("2w", 14 * DAY)])
def test_ages_are_read(text, seconds) -> None:
    assert cache.parse_age(text) == seconds


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["prune", "--to", "much"], "--to 'much' is no size"),
        (["prune", "--to", "-1GB"], "--to"),
        (["prune", "--to", "9" * 400 + "TB"], "is no size"),
        (["prune", "--older-than", "30"], "--older-than '30' is no age"),
        (["clean"], "'clean' is no command"),
        (["list", "--to", "1GB"], "--to does nothing for list"),
        (["prune", "--remove"], "--remove does nothing for prune"),
    ],
)
def test_a_mistyped_line_is_named(run_cache, arguments, told) -> None:
    assert told in run_cache(*arguments, code=1)


def test_a_store_that_cannot_be_written_is_named(tmp_path, monkeypatch, run_cache) -> None:
    stored(tmp_path)

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    assert f"error: {tmp_path / 'infer' / 'k'}: Permission denied" in run_cache("prune", "--to", "0B", code=1)


def test_nothing_is_pruned_where_the_file_system_has_no_locks(tmp_path, monkeypatch) -> None:
    folder = stored(tmp_path)

    def refuse(*arguments):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(StoreError, match="No locks available"):
        pruning.remove_artifacts(tmp_path, [listed("k", 1, 0)])
    assert folder.exists()


def test_the_command_starts_without_heavy_packages(tmp_path) -> None:
    heavy = {"torch", "onnx", "onnxruntime"}
    code = f"import sys, runner.cache.__main__; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60).returncode == 0


def test_an_unknown_size_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError):
        cache.parse_size("20 gigs")

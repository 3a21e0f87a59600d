"""Several processes on one store, and several runs at once."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.core import StoreError
from runner.pipeline.run_folder import claim, held

pytestmark = pytest.mark.soak

PROCESSES = 8
STAGES = ("weights", "prepare", "infer")
TIMEOUT_SECONDS = 60.0

MAKER = """
    import json, os, sys, time
    from pathlib import Path
    from types import SimpleNamespace
    from runner.core import Weights
    from runner.pipeline import execute
    from runner.pipeline.keys import Stage
    from runner.pipeline.plan import Plan
    from runner.store import Store

    root, log, seconds, stages = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4].split(",")

    def make(stage, inputs, out):
        with log.open("a") as file:
            file.write(f"{stage.name} {os.getpid()}\\n")
        (out / "a.pth").write_text("half")
        time.sleep(seconds)
        (out / "a.pth").write_text(f"{stage.name} is done")
        return Weights(out / "a.pth", stage.name, "url")

    execute.make = make
    setup = SimpleNamespace(config=SimpleNamespace(force=False, stages=None))
    run = execute.Run(setup, Store(root), log.parent)
    run.go(Plan(tuple(Stage(name=name, kind=Weights, spec={}) for name in stages)))
    contents = [run.artifacts[name].path.read_text() for name in stages]
    print(json.dumps([[record.name, record.status] for record in run.records] + contents))
"""


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """End what a failing test leaves."""
    yield
    while _started:
        with _started.pop() as process:
            process.kill()


_started: list[subprocess.Popen[str]] = []


def start_maker(
    root: Path,
    log: Path,
    seconds: float,
    stages: str = ",".join(STAGES),
    prefix: tuple[str, ...] = (),
    **variables: str,
) -> subprocess.Popen[str]:
    arguments = [*prefix, sys.executable, "-c", textwrap.dedent(MAKER), str(root), str(log), str(seconds), stages]
    process = subprocess.Popen(
        arguments, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _started.append(process)
    return process


def ended(process: subprocess.Popen[str]) -> list:
    stdout, stderr = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0, stderr
    return json.loads(stdout)


def until(condition: Callable[[], bool], seconds: float = TIMEOUT_SECONDS) -> float:
    """Wait for the condition; returns the seconds that it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds
        time.sleep(0.01)
    return time.monotonic() - start


def check_made_once(told: list[list], log: Path) -> None:
    """Each stage was made by one process, and all the others reused it, whole."""
    assert Counter(line.split()[0] for line in log.read_text().splitlines()) == dict.fromkeys(STAGES, 1)
    statuses = Counter(tuple(record) for one in told for record in one[: len(STAGES)])
    for stage in STAGES:
        assert (statuses[stage, "ran"], statuses[stage, "reused"]) == (1, len(told) - 1)
    assert all(one[len(STAGES) :] == [f"{stage} is done" for stage in STAGES] for one in told)


def test_eight_processes_make_each_artifact_once_and_the_others_wait_and_reuse(tmp_path) -> None:
    log = tmp_path / "log"
    processes = [start_maker(tmp_path / "store", log, 0.5) for _ in range(PROCESSES)]
    check_made_once([ended(process) for process in processes], log)
    assert list((tmp_path / "store" / "partial").iterdir()) == []


def unshared() -> tuple[str, ...]:
    """Where this user may: a host name and process ids of its own, so that the same ids are given twice."""
    prefix = ("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
    if shutil.which("unshare") is None:
        return ()
    tried = subprocess.run([*prefix, "true"], capture_output=True, timeout=TIMEOUT_SECONDS)
    return prefix if tried.returncode == 0 else ()


def start_on_host(name: str, folder: Path, *arguments, **options) -> subprocess.Popen[str]:
    """A maker that shares the store's folder with other hosts, and nothing else."""
    (folder / name / "tmp").mkdir(parents=True)
    prefix = unshared()
    if prefix:
        prefix = (*prefix, "sh", "-c", f'hostname {name}; "$@"', "sh")
    home = {"HOME": str(folder / name), "TMPDIR": str(folder / name / "tmp"), "HOSTNAME": name}
    return start_maker(*arguments, prefix=prefix, **options, **home)


def test_hosts_on_one_shared_folder_make_each_artifact_once(tmp_path) -> None:
    log = tmp_path / "log"
    hosts = [start_on_host(f"host{index}", tmp_path, tmp_path / "store", log, 0.5) for index in range(3)]
    check_made_once([ended(host) for host in hosts], log)
    processes = {line.split()[1] for line in log.read_text().splitlines()}
    assert len(processes) == 1 or not unshared()  # the same number on each host


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_holder_that_is_killed_frees_its_lock_at_once(tmp_path, elsewhere) -> None:
    store, log = tmp_path / "store", tmp_path / "log"
    if elsewhere:
        holder = start_on_host("host1", tmp_path, store, log, 600, stages="infer")
    else:
        holder = start_maker(store, log, 600, stages="infer")
    until(lambda: log.exists() or holder.poll() is not None)
    waiting = start_maker(store, log, 0, stages="infer")
    assert waiting.stderr is not None
    assert "another run makes it; waiting" in waiting.stderr.readline()
    assert waiting.poll() is None
    holder.kill()
    killed_at = time.monotonic()
    assert ended(waiting) == [["infer", "ran"], "infer is done"]
    assert time.monotonic() - killed_at < 5
    holder.communicate(timeout=TIMEOUT_SECONDS)
    assert list((store / "partial").iterdir()) == []


def test_what_a_dead_host_left_is_removed_and_what_a_living_one_makes_is_not(tmp_path) -> None:
    store, log = tmp_path / "store", tmp_path / "log"
    dead = start_on_host("host1", tmp_path, store, log, 600, stages="infer")
    until(lambda: log.exists() or dead.poll() is not None)
    dead.kill()
    dead.communicate(timeout=TIMEOUT_SECONDS)
    living = start_on_host("host2", tmp_path, store, log, 600, stages="weights")
    until(lambda: "weights" in log.read_text())
    command = [sys.executable, "-m", "runner.cache", "prune", "--to", "0B", f"cache_dir={store}"]

    def printed() -> str:
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS).stdout

    until(lambda: "removed what was not finished" in printed())
    assert [path.name.partition("-")[0] for path in (store / "partial").iterdir()] == ["weights"]
    living.kill()
    living.communicate(timeout=TIMEOUT_SECONDS)


def test_the_folder_that_the_time_names_belongs_to_one_run(tmp_path) -> None:
    claimed = [claim(tmp_path / "time") for _ in range(3)]
    assert [folder.name for folder in claimed] == ["time", "time-2", "time-3"]


def test_a_folder_that_cannot_be_made_is_no_endless_search(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        claim(tmp_path / "file" / "time")


def test_a_run_folder_that_another_run_writes_to_is_refused_until_that_ends(tmp_path) -> None:
    with held(tmp_path), pytest.raises(StoreError, match="another run is writing its results there"):  # noqa: SIM117
        with held(tmp_path):
            pass
    with held(tmp_path):
        assert tmp_path.is_dir()


def test_a_run_in_a_folder_that_another_run_writes_to_says_so_and_changes_nothing(run_main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    with held(tmp_path / "out"):
        done = run_main("model=dqn", "weights=random", "stages=[weights]", "hydra.run.dir=out", check=1)
    assert "another run is writing its results there" in done.stderr
    assert "hydra.run.dir=DIR" in done.stderr
    assert not (tmp_path / "out" / "result.json").exists()


AT_ONE_TIME = """
    import datetime, sys
    from hydra.core import utils

    class Stopped(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 1)

    utils.datetime = Stopped
    from runner.__main__ import main
    sys.exit(main())
"""
SHORT = ("model=dcgan", "weights=random", "stages=[weights]")


def at_one_time(folder: Path, *lines: tuple[str, ...], returncode: int = 0) -> list[str]:
    """Run command lines at once, all in the same microsecond by Hydra's clock; what each printed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(AT_ONE_TIME), *line, *SHORT],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in lines
    ]
    printed = [process.communicate(timeout=TIMEOUT_SECONDS) for process in processes]
    assert [process.returncode for process in processes] == [returncode] * len(lines), printed
    return [stdout for stdout, _ in printed]


def test_sweeps_of_the_same_microsecond_do_not_mix(tmp_path) -> None:
    printed = at_one_time(tmp_path, ("-m", "batch=0,1"), ("-m", "batch=-1,2"), returncode=1)
    folders = sorted((tmp_path / "outputs" / "sweeps").iterdir())
    assert len(folders) == 2
    batches = [[json.loads(path.read_text())["batch"] for path in folder.glob("*/result.json")] for folder in folders]
    assert {tuple(sorted(found)) for found in batches} == {(0, 1), (-1, 2)}
    failed = [re.findall(r"failed: .*batch (-?\d+)", stdout) for stdout in printed]
    assert failed == [["0"], ["-1"]], printed


def test_runs_of_the_same_microsecond_have_folders_of_their_own(tmp_path) -> None:
    at_one_time(tmp_path, (), ())
    found = list((tmp_path / "outputs").glob("dcgan/*/*/*/result.json"))
    assert len({path.parent.name for path in found}) == 2

"""The bounded version of benchmarks/soak.py, and kills at every write of one artifact."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak

ROOT = Path(__file__).parents[2]


def test_a_run_killed_once_in_each_stage_ends_with_the_undisturbed_result() -> None:
    command = [sys.executable, ROOT / "benchmarks" / "soak.py", "--each-stage"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kills: 8, by write 8" in done.stdout
    assert "wrong: 0" in done.stdout


KILLED_AT_EVERY_CALL = """
import os, pathlib, shutil, signal, sys
from pathlib import Path
from types import SimpleNamespace

from runner.core import Weights
from runner.pipeline import execute
from runner.pipeline.keys import Stage
from runner.pipeline.plan import Plan
from runner.store import Store

folder, resumes, forced, changing = Path(sys.argv[1]), *(word == "True" for word in sys.argv[2:])

def make(stage, inputs, out):
    text = str(os.getpid()) if changing else "same"
    for name in ("a", "b"):
        (out / name).write_text(text * 1000)
    (out / "chunks.note").write_text("")
    return Weights(out / "a", text, "url")

execute.make = make

def run(root, force=False):
    store = Store(root)
    made = execute.Run(SimpleNamespace(config=SimpleNamespace(force=force, stages=None)), store, root)
    made.go(Plan((Stage(name="weights", kind=Weights, spec={}, resumes=resumes),)))
    store.close()
    weights = made.artifacts["weights"]
    assert {(weights.path.parent / name).read_text() for name in ("a", "b")} == {weights.sha256 * 1000}
    return made.records[0].status

def die_at(last):
    calls = 0

    def counted(name):
        function = getattr(os, name)

        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        kept = getattr(pathlib, "_NormalAccessor", None)  # where Python 3.10's pathlib keeps functions of os
        if getattr(kept, name, None) is function:
            setattr(kept, name, staticmethod(call))
        setattr(os, name, call)

    for name in "fsync replace rename unlink mkdir rmdir utime scandir open close".split():
        counted(name)

def status_of_child(action):
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except BaseException as error:
            print(type(error), error, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

kills = kept = 0
while True:
    root = folder / str(kills)
    if forced:
        run(root)
    status = status_of_child(lambda: (die_at(kills + 1), run(root, forced)))
    if status == 0:
        break
    assert status == -signal.SIGKILL, status
    # what was there before is whole, but for one moment in which its successor is
    kept += run(root) == "reused"
    assert run(root) == "reused"
    left = [path for path in root.rglob("*") if path.suffix in (".partial", ".note") or path.parent.name == "partial"]
    assert not left, (kills, left)
    kills += 1
assert not forced or kept == kills, (kept, kills)
print(kills)
"""


@pytest.mark.parametrize("resumes", [False, True])
@pytest.mark.parametrize(("forced", "changing"), [(False, True), (True, False), (True, True)])
def test_a_kill_at_any_call_to_the_disk_leaves_what_the_next_run_needs(tmp_path, resumes, forced, changing) -> None:
    options = [str(option) for option in (resumes, forced, changing)]
    command = [sys.executable, "-c", KILLED_AT_EVERY_CALL, tmp_path, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 20

"""Kill -9 anywhere: is a run that was killed and started again the same as one that was left alone?

    python benchmarks/soak.py [--kills 200] [--seed 0] [--each-stage] [--folder DIR]

A small but whole run (SqueezeNet on 64x64 pictures, prepared in five chunks; every stage) is made once undisturbed,
then killed with SIGKILL again and again, each time at another moment and on a store from which some artifacts were
taken away, and after a few kills left to finish. There are four ways of dying:

    time     the whole process group, after a random time
    main     only the main process, after a random time: its workers have to notice
    stage    the whole process group, at a random time within a stage that was drawn
    write    at a random call of fsync, rename or replace within a stage that was drawn, before or after it

After each kill every artifact in the store is read and compared with its digests (nothing half-made is there), those
that were finished before are still the same ones (nothing is redone), the chunks of pictures that were finished stay
finished, and no process is left. A run that was left to finish has the undisturbed one's accuracy, fidelity, verdicts,
keys and predictions; it reused what was there and made what was not; and nothing unfinished lies about.

Most runs are forked off this process, which has imported PyTorch; every tenth is a `python -m runner` of its own.
Prints its counts; exits 1 if anything was wrong. --each-stage kills each stage once, at its first write, and no more.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

STAGES = ("weights", "export", "simplify", "prepare", "infer", "reference", "score", "benchmark")
"""Those that are stored, in the order in which they run."""
PICTURES = 160
ARGUMENTS = (
    "model=squeezenet1_0",
    "weights=random",
    "batch=8",
    "dataset=synthetic_images",
    f"dataset.reader.count={PICTURES}",
    "dataset.reader.width=300",
    "dataset.reader.height=225",
    "model.preprocess.resize=64",
    "model.preprocess.crop=64",
    "model.inputs=[{name: image, shape: [3, 64, 64]}]",
    "gates.fidelity.samples=16",
    "benchmark.warmup=0",
    "benchmark.min_iterations=3",
    "benchmark.min_seconds=0",
    "benchmark.max_seconds=2",
    "cache_dir=store",
    "hydra.run.dir=out",
)
WAYS = {"time": 35, "main": 10, "stage": 30, "write": 25}
MOST_WRITES = 8
OWN_PROCESS_SHARE = 0.1
FINISH_SHARE = 0.3
START_SECONDS = 0.8
ORPHAN_SECONDS = 20.0
HANGING_SECONDS = 600.0


@dataclass(frozen=True)
class Write:
    """Die at the `number`th call that writes within a stage, before or after it is done."""

    stage: str
    number: int
    after: bool


@dataclass
class Counts:
    """What happened."""

    kills: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    ended_before: int = 0
    finished: int = 0
    own_processes: int = 0
    reused: int = 0
    made: int = 0
    artifacts_checked: int = 0
    resumed: int = 0
    wrong: list[str] = field(default_factory=list)


def main() -> int:
    """Soak; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each-stage", action="store_true")
    parser.add_argument("--folder", type=Path, help="where to work, and leave everything [a temporary folder]")
    options = parser.parse_args()
    _import_heavy_packages()
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        return _soak(options.folder.resolve(), options)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        return _soak(Path(folder), options)


def _soak(folder: Path, options: argparse.Namespace) -> int:
    start = time.monotonic()
    soak = Soak(folder, random.Random(options.seed))
    soak.make_reference()
    print(f"undisturbed: {sum(soak.seconds.values()):.1f} s in {len(STAGES)} stages", flush=True)
    if options.each_stage:
        for stage in STAGES:
            soak.kill_at_write(Write(stage, 1, after=False), [stage])
        soak.finish()
    else:
        while soak.counts.kills.total() < options.kills and len(soak.counts.wrong) < 20:
            soak.kill_once()
            if soak.random.random() < FINISH_SHARE:
                soak.finish()
            if sys.stderr.isatty():
                print(f"\r{soak.counts.kills.total()} kills", end="", file=sys.stderr, flush=True)
        soak.finish()
    return tell(soak.counts, time.monotonic() - start)


def tell(counts: Counts, seconds: float) -> int:
    """Print the counts; the exit code."""
    print(f"kills: {counts.kills.total()}, by {', '.join(f'{way} {n}' for way, n in sorted(counts.kills.items()))}")
    for stage in ("start-up", *STAGES, "result"):
        print(f"  killed in {stage:<10} {counts.stages[stage]:4}")
    print(f"runs that ended before they were to be killed: {counts.ended_before}")
    print(f"runs in a process of their own: {counts.own_processes}")
    print(f"runs left to finish, same result as the undisturbed one: {counts.finished}")
    print(f"  artifacts that they reused: {counts.reused}, made: {counts.made}")
    print(f"preparations that went on from finished chunks: {counts.resumed}")
    print(f"artifacts read and compared with their digests after kills: {counts.artifacts_checked}")
    for wrong in counts.wrong:
        print(f"WRONG: {wrong}")
    print(f"wrong: {len(counts.wrong)}, in {seconds:.0f} s")
    return int(bool(counts.wrong))


class Soak:
    """A store, what an undisturbed run made in it, and what came of the kills."""

    def __init__(self, folder: Path, source: random.Random) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.log = folder / "log.txt"
        self.random = source
        self.counts = Counts()
        self.seconds: dict[str, float] = {}
        self.reference: dict[str, object] = {}
        self.chunks = 0

    def make_reference(self) -> None:
        """The undisturbed run."""
        status = self._wait(self._start())
        if status != 0:
            raise SystemExit(f"the undisturbed run failed:\n{self.log.read_text()}")
        result = json.loads((self.folder / "out" / "result.json").read_text())
        self.reference = essence(result)
        self.seconds = {stage["name"]: stage["seconds"] for stage in result["stages"] if stage["name"] in STAGES}

    def kill_once(self) -> None:
        """Take some artifacts away where the store is complete, start a run, and kill it in one of the ways."""
        if not self._missing():
            self._take_away()
        way = self.random.choices(list(WAYS), list(WAYS.values()))[0]
        stage = self.random.choice(self._missing())
        if way == "write":
            write = Write(stage, self.random.randint(1, MOST_WRITES), self.random.random() < 0.5)
            self.kill_at_write(write, [])
            return
        before, started_at = self._artifacts(), time.time()
        own_process = self.random.random() < OWN_PROCESS_SHARE
        pid = self._start_process() if own_process else self._start()
        self.counts.own_processes += own_process
        if way == "stage":
            self._wait_for(pid, lambda: self._begun(stage, started_at))
            delay = self.random.uniform(0, self.seconds[stage])
        else:
            delay = self.random.uniform(0, START_SECONDS + sum(self.seconds[name] for name in self._missing()))
        status = self._wait(pid, delay, only_main=way == "main")
        self._after(way, status, before, started_at)

    def kill_at_write(self, write: Write, taken_away: list[str]) -> None:
        """Let a run die at a write."""
        for name in taken_away:
            self._remove(name)
        before, started_at = self._artifacts(), time.time()
        status = self._wait(self._start(write))
        self._after("write", status, before, started_at)

    def finish(self) -> None:
        """Let a run go to its end, and compare it with the undisturbed one."""
        before = self._artifacts()
        finished = {stage for stage in STAGES if self._is_finished_but_not_in_place(stage)}
        status = self._wait(self._start())
        if status != 0:
            self._wrong(f"a run after kills ended with {status}: {self.log.read_text()[-2000:]}")
            return
        self._compare(before, finished)

    def _compare(self, before: dict[str, tuple[int, int]], finished: set[str]) -> None:
        result = json.loads((self.folder / "out" / "result.json").read_text())
        found = essence(result)
        for part, expected in self.reference.items():
            if found[part] != expected:
                self._wrong(f"{part} is {found[part]}, undisturbed {expected}")
        there = {name.partition("/")[0] for name in before}
        for stage in result["stages"]:
            if stage["name"] in STAGES:
                expected = "reused" if stage["name"] in there | finished else "ran"
                if stage["status"] != expected:
                    self._wrong(f"{stage['name']} {stage['status']}, expected {expected}")
                self.counts.reused += stage["status"] == "reused"
                self.counts.made += stage["status"] == "ran"
        self._check_unchanged(before)
        left = [*(self.store / "partial").iterdir(), *self.store.rglob("*.partial")]
        left += (self.folder / "out").rglob("*.partial")
        if left:
            self._wrong(f"left behind: {left}")
        self._check_chunks()
        self.counts.finished += 1

    def _after(self, way: str, status: int, before: dict[str, tuple[int, int]], started_at: float) -> None:
        """Count a kill, and check what it left."""
        if status == -signal.SIGKILL:
            self.counts.kills[way] += 1
            self.counts.stages[self._killed_in(started_at)] += 1
        elif status == 0:
            self.counts.ended_before += 1
        else:
            self._wrong(f"a run that was to be killed ended with {status}: {self.log.read_text()[-2000:]}")
        self._check_unchanged(before)
        self._check_whole()
        self._check_chunks()

    def _check_unchanged(self, before: dict[str, tuple[int, int]]) -> None:
        after = self._artifacts()
        for name, identity in before.items():
            if after.get(name) != identity:
                self._wrong(f"{name} was finished, and was made again or lost")

    def _check_whole(self) -> None:
        from runner.stages import order
        from runner.store import inventory

        for one in inventory.take(self.store, order.STORED).artifacts:
            damage = inventory.damage(self.store, one)
            self.counts.artifacts_checked += 1
            if damage:
                self._wrong(f"{one.stage}/{one.key} is half made: {damage}")

    def _check_chunks(self) -> None:
        """Chunks of pictures that were finished stay so; a run that finds some goes on from them."""
        journals = list(self.store.glob("partial/prepare-*/chunks.note"))
        chunks = len(journals[0].read_text().splitlines()[1:]) if journals else 0
        prepared = "prepare" not in self._missing()
        if not prepared and chunks < self.chunks:
            self._wrong(f"{self.chunks} chunks of pictures were finished, {chunks} are left")
        if self.chunks and (prepared or chunks > self.chunks):
            self.counts.resumed += 1
        self.chunks = 0 if prepared else chunks

    def _killed_in(self, started_at: float) -> str:
        done = [line.split()[0] for line in self.log.read_text().splitlines() if line.split()[:1]]
        done = [name for name in done if name in STAGES]
        if len(done) == len(STAGES):
            return "result"
        following = STAGES[len(done)]
        return following if done or self._begun(following, started_at) else "start-up"

    def _begun(self, stage: str, since: float) -> bool:
        """Whether the stage has been begun, or gone on with, since then."""
        for folder in self.store.glob(f"partial/{stage}-*"):
            try:
                if stage == "prepare" or folder.stat().st_mtime >= since - 0.01:
                    return True
            except OSError:
                continue
        return False

    def _is_finished_but_not_in_place(self, stage: str) -> bool:
        return any(self.store.glob(f"partial/{stage}-*/artifact.json"))

    def _artifacts(self) -> dict[str, tuple[int, int]]:
        """stage/key of every artifact, and what changes when it is made again."""
        found = {}
        for path in self.store.glob("*/*/artifact.json"):
            if path.parent.parent.name in STAGES:
                folder = path.parent.stat()
                found[f"{path.parent.parent.name}/{path.parent.name}"] = (folder.st_ino, path.stat().st_ino)
        return found

    def _missing(self) -> list[str]:
        there = {name.partition("/")[0] for name in self._artifacts()}
        return [stage for stage in STAGES if stage not in there]

    def _take_away(self) -> None:
        count = len(STAGES) if self.random.random() < 0.15 else self.random.randint(1, 3)
        for name in self.random.sample(STAGES, count):
            self._remove(name)

    def _remove(self, stage: str) -> None:
        """As `runner.cache prune` does."""
        from runner.stages import order
        from runner.store import inventory, pruning

        listed = [one for one in inventory.take(self.store, order.STORED).artifacts if one.stage == stage]
        if pruning.remove_artifacts(self.store, listed)[1]:
            self._wrong(f"{stage} is in use though no run lives")

    def _start(self, write: Write | None = None) -> int:
        """Fork a run off; its process id, which is its group's too."""
        pid = os.fork()
        if pid:
            return pid
        try:
            os.setsid()
            os.chdir(self.folder)
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for descriptor in (1, 2):
                os.dup2(log, descriptor)
            if write is not None:
                die_at(write, self.store)
            from runner import __main__ as command_line

            sys.argv = ["runner", *ARGUMENTS]
            status = command_line.main()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}".encode())
            os._exit(99)

    def _start_process(self) -> int:
        with self.log.open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "runner", *ARGUMENTS],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ).pid

    def _wait_for(self, pid: int, condition: Callable[[], bool]) -> None:
        """Until the condition holds or the process has ended."""
        while not condition() and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.002)

    def _wait(self, pid: int, delay: float = HANGING_SECONDS, only_main: bool = False) -> int:
        """The exit status, killed after a delay, and with nothing left of its process group."""
        deadline = time.monotonic() + delay
        self._wait_for(pid, lambda: time.monotonic() >= deadline)
        (os.kill if only_main else os.killpg)(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == -signal.SIGKILL and delay == HANGING_SECONDS and time.monotonic() >= deadline:
            self._wrong("a run hangs")
        deadline = time.monotonic() + ORPHAN_SECONDS
        while living_in_group(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        if living_in_group(pid):
            self._wrong(f"processes that were left: {living_in_group(pid)}")
            os.killpg(pid, signal.SIGKILL)
        return status

    def _wrong(self, what: str) -> None:
        self.counts.wrong.append(what)
        print(f"WRONG: {what}", flush=True)


def essence(result: dict) -> dict[str, object]:
    """What of a result.json does not depend on the time that anything took."""
    return {
        "status": result["status"],
        "error": result["error"],
        "accuracy": result["accuracy"],
        "fidelity": result["fidelity"],
        "weights": result["weights"],
        "artifacts": result["artifacts"],
        "predictions": _digest(Path(result["artifacts"]["predictions"])),
        "keys": {stage["name"]: stage["key"] for stage in result["stages"]},
        "verdicts": {gate["name"]: gate["verdict"] for gate in result["gates"]},
    }


def _digest(path: Path) -> str:
    from runner.core import sha256_of

    return sha256_of(path)


def die_at(write: Write, store: Path) -> None:
    """Let this process kill itself at that write, workers and all."""
    calls = 0

    def counted(name: str) -> None:
        function = getattr(os, name)

        def call(*arguments: object, **options: object) -> object:
            nonlocal calls
            if any(store.glob(f"partial/{write.stage}-*")):
                calls += 1
            die = calls == write.number
            if die and not write.after:
                os.killpg(0, signal.SIGKILL)
            done = function(*arguments, **options)
            if die:
                os.killpg(0, signal.SIGKILL)
            return done

        setattr(os, name, call)

    for name in ("fsync", "replace", "rename", "pwrite"):
        counted(name)


def living_in_group(group: int) -> list[str]:
    """The command lines of a process group's processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append((path / "cmdline").read_text().replace("\0", " ")[:200])
        except OSError:
            continue
    return found


def _import_heavy_packages() -> None:
    """Once, for all runs that are forked off; none of them may start a thread here."""
    import onnx
    import onnxruntime
    import onnxsim
    import torch
    import torchvision

    import runner.__main__
    import runner.pipeline.job
    import runner.stages.benchmark
    import runner.stages.export
    import runner.stages.infer
    import runner.stages.reference
    import runner.stages.score
    import runner.stages.simplify
    import runner.stages.weights

    assert all((onnx, onnxruntime, onnxsim, torch, torchvision, runner))


if __name__ == "__main__":
    sys.exit(main())

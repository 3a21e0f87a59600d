"""Whole runs of made-up configurations, each in a process forked from one that has the libraries loaded."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import TINY_MODEL, TINY_NETWORK
from tests.fuzz.test_configs import FURTHER, KEYS, with_value
from tests.fuzz.values import INTERPOLATIONS, NAMES, NUMBERS, ODD

CORPUS = Path(__file__).parent / "corpus"
"""Cases that once ended otherwise than they should: a file each, as `Case` is written."""
SECONDS = 60
MEMORY_BYTES = 6 << 30
"""What a run may take beyond what the loaded libraries have."""
LONG = frozenset(
    {"min_seconds", "max_seconds", "min_iterations", "warmup", "loop", "timeout_seconds", "count", "width"}
)
"""Keys of which a large value is a long run, as asked for."""
PLAUSIBLE: tuple[Any, ...] = (
    1,
    2,
    4,
    "1",
    "auto",
    "random",
    True,
    False,
    None,
    [],
    [1],
    {},
    ["export"],
    "cpu",
    "noise",
    0.5,
)
COMMON = [
    *["model=fuzz", "weights=random", "dataset=synthetic_images", "dataset.reader.count=4", "dataset.reader.classes=4"],
    *["benchmark.min_seconds=0", "benchmark.min_iterations=1", "benchmark.max_seconds=1", "allow=[tiny_zoo]"],
]
STAGES = ("weights", "export", "simplify", "prepare", "infer", "reference", "score", "benchmark")


@dataclass(frozen=True)
class Case:
    """A command line, and the model's file that it names."""

    arguments: list[str]
    model: str


@dataclass(frozen=True)
class End:
    """How a run ended: its exit code (minus the signal that killed it), what it printed, and its duration."""

    code: int
    text: str
    seconds: float

    @property
    def fault(self) -> str:
        """Why the run ended otherwise than it should; empty if it did not."""
        if self.seconds > SECONDS:
            return f"it took more than {SECONDS} s"
        if self.code not in (0, 1, 2):
            return f"exit code {self.code}"
        for sign in ("Traceback", "fault of the runner", "HYDRA_FULL_ERROR"):
            if sign in self.text:
                return f"it printed: {sign}"
        return "" if self.code != 1 or "error: " in self.text else "an error without a message"


def made_up(seed: int) -> Case:
    """Return the case of a seed: up to three changes in the model's file or on the command line, and some stages."""
    drawn = random.Random(seed)
    content, arguments = yaml.safe_load(TINY_MODEL) | {"name": "fuzz"}, list(COMMON)
    for _ in range(drawn.randrange(4)):
        path = drawn.choice([key for key in (*KEYS, *FURTHER) if key[-1] not in LONG])
        value = drawn.choice([*INTERPOLATIONS, *ODD, *NAMES, *NUMBERS, *PLAUSIBLE, *PLAUSIBLE])
        if path[0] == "cache_dir" and str(value).startswith("/"):
            continue  # nothing outside the scratch folder
        if path[0] == "model" and drawn.random() < 0.7:
            content = with_value(content, path[1:], value)
        elif all(isinstance(part, str) for part in path):
            arguments.append(f"{'.'.join(map(str, path))}={json.dumps(value) if value is None else value}")
    if drawn.random() < 0.5:
        arguments.append(f"stages=[{drawn.choice(STAGES)}]")
    if drawn.random() < 0.1:
        arguments.append("dry_run=true")
    return Case([argument for argument in arguments if "\0" not in argument], yaml.dump(content, allow_unicode=False))


def prepare(folder: Path) -> Path:
    """Return the folder, some levels below `folder`, in which runs work: it has the tiny network's package."""
    home = folder / "a" / "b" / "home"
    (home / "tiny_zoo").mkdir(parents=True)
    (home / "tiny_zoo" / "__init__.py").touch()
    (home / "tiny_zoo" / "net.py").write_text(TINY_NETWORK)
    (home / "conf" / "model").mkdir(parents=True)
    return home


def load_libraries() -> None:
    """Import what every run imports, so that forked processes need not."""
    import onnx
    import onnxruntime
    import onnxsim
    import timm
    import torch
    import torchvision

    from runner.pipeline import app, job  # noqa: F401

    assert all((onnx, onnxruntime, onnxsim, timm, torch, torchvision))


def run(case: Case, home: Path) -> End:
    """Run a case in a forked process, in the folder `home`."""
    (home / "conf" / "model" / "fuzz.yaml").write_text(case.model)
    log, started = home / "log", time.monotonic()
    child = os.fork()
    if not child:
        _be_the_run(case, home, log)
    status: int | None = None
    while status is None and time.monotonic() - started < SECONDS:
        ended, waited = os.waitpid(child, os.WNOHANG)
        status = waited if ended else None
        time.sleep(0.005)
    seconds = time.monotonic() - started
    if status is None:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        status, seconds = os.waitpid(child, 0)[1], SECONDS + seconds
    return End(os.waitstatus_to_exitcode(status), log.read_text(errors="replace"), seconds)


def _be_the_run(case: Case, home: Path, log: Path) -> None:
    """Become the run; never return."""
    code = 99
    try:
        os.chdir(home)
        os.environ |= {"HOME": str(home), "OMP_NUM_THREADS": "1"}
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115
        sys.stdout, sys.stderr = (open(stream, "w", closefd=False) for stream in (1, 2))  # noqa: SIM115
        sys.path.insert(0, str(home))
        sys.argv = ["runner", "--config-dir", "conf", *case.arguments]
        from runner.__main__ import main

        code = main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def keep(case: Case, name: str) -> Path:
    """Add a case to the corpus."""
    CORPUS.mkdir(exist_ok=True)
    path = CORPUS / f"{name}.json"
    path.write_text(json.dumps(asdict(case), indent=1) + "\n")
    return path


def kept() -> Iterator[tuple[str, Case]]:
    """Yield the cases of the corpus with their names."""
    for path in sorted(CORPUS.glob("*.json")):
        yield path.stem, Case(**json.loads(path.read_text()))

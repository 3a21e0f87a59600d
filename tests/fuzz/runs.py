"""Command lines carried out, each in a process forked from one that has the libraries loaded."""

from __future__ import annotations

import gc
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from runner.measure import device_lock
from tests.conftest import TINY_NETWORK
from tests.fuzz.cases import COMMON, FUZZ_MODEL, MODEL, Case
from tests.fuzz.test_annotations import COCO, ICDAR, VOC

CORPUS = Path(__file__).parent / "corpus"
"""Cases that once ended otherwise than they should: a file each, as `Case` is written."""
ROOT = Path(__file__).parents[2]
SECONDS = 60
LAUNCHED_SECONDS = 300
"""Where a launcher's processes load the libraries anew."""
MEMORY_BYTES = 6 << 30
"""What a run may take beyond what the loaded libraries have."""
CODES = {"run": (0, 1, 2), "compare": (0, 1, 2), "debug": (0, 1, 2), "diff": (0, 1, 3)}
"""Exit codes by command; 0 and 1 of the others."""
ERROR = {"diff": 3}
"""The exit code of an error by command; 1 of the others."""
JUDGING = ("cache", "compare")
"""Commands of which the same code also says that something was found damaged, or nothing was compared."""
SIGNS = ("Traceback", "fault of the runner", "HYDRA_FULL_ERROR", "Exception ignored")


@dataclass(frozen=True)
class End:
    """How a case ended: its exit code (minus the signal that killed it), what it printed, and why that is a fault.

    The fault is empty if it ended as it should.
    """

    code: int
    text: str
    fault: str


def prepare(folder: Path) -> Path:
    """Return the folder, some levels below `folder`, in which cases work.

    It holds the tiny network's package and model, a picture as many data sets have it, and a whole run's result and
    artifacts. What every run loads is loaded then, and cached as far as no threads have to run for it: a fork of a
    process in which OpenMP's have run hangs.
    """
    home = folder / "a" / "b" / "home"
    (home / "tiny_zoo").mkdir(parents=True)
    (home / "tiny_zoo" / "__init__.py").touch()
    (home / "tiny_zoo" / "net.py").write_text(TINY_NETWORK)
    (home / MODEL).parent.mkdir(parents=True)
    (home / MODEL).write_text(FUZZ_MODEL)
    _write_data(home / "data")
    os.environ |= {"HOME": str(home), "OMP_NUM_THREADS": "1", device_lock.FOLDER_VARIABLE: str(folder)}
    os.chdir(home)
    sys.path.insert(0, str(home))
    _load_libraries()
    with redirect_stdout(io.StringIO()):
        assert _main([*COMMON, "dry_run=true"]) == 0
    gc.collect()
    gc.freeze()  # or each fork copies all objects at its first collection
    end = _run(Case(COMMON), home)
    assert end.code == 0, end.text
    home.rename(template(home))
    return home


def run(case: Case, home: Path) -> End:
    """Carry out a case in a process of its own, in a copy of the home as it was prepared."""
    shutil.copytree(template(home), home, symlinks=True)
    try:
        for pattern, content in case.files.items():
            for path in sorted(home.glob(pattern)) or [home / pattern]:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode("utf-8", "surrogateescape"))
        return _run(case, home)
    finally:
        shutil.rmtree(home)


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


def template(home: Path) -> Path:
    """Return the folder that each case gets a copy of."""
    return home.with_name("template")


def _write_data(folder: Path) -> None:
    """Write the same picture for each data set of `tests.fuzz.cases.DATA`, and what belongs to it."""
    for name in ("pictures/a.png", "labels/a.png", "val2017/a.png", "JPEGImages/a.jpg", "val/a.png"):
        (folder / name).parent.mkdir(parents=True)
        Image.new("L" if name.startswith("labels") else "RGB", (9, 12)).save(folder / name)
    for name, content in {
        "annotations/instances_val2017.json": json.dumps(COCO).encode(),
        "Annotations/a.xml": VOC,
        "ImageSets/Main/test.txt": b"a\n",
        "labels.txt": ICDAR,
        "words.txt": b"a.png cat\n",
        "val_label.txt": b"a.png 1\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    np.save(folder / "image.npy", np.zeros((2, 3, 8, 8), np.float32))


def _load_libraries() -> None:
    """Import what every run imports, so that forked processes need not."""
    import onnx
    import onnxruntime
    import onnxsim
    import timm
    import torch
    import torchvision

    from runner.pipeline import app, job  # noqa: F401

    assert all((onnx, onnxruntime, onnxsim, timm, torch, torchvision))


def _main(arguments: list[str]) -> int:
    from runner.__main__ import main

    sys.argv = ["runner", *arguments]
    try:
        return main()
    except SystemExit as ended:  # as a command ends
        return ended.code if isinstance(ended.code, int) else 99


def _run(case: Case, home: Path) -> End:
    """Fork, carry the case out in `home`, and wait for it; after too long, end all processes of it."""
    log, started = home.with_name("log"), time.monotonic()
    seconds = LAUNCHED_SECONDS if case.is_launched else SECONDS
    child = os.fork()
    if not child:
        _be_the_run(case, home, log)
    status: int | None = None
    while status is None and time.monotonic() - started < seconds:
        ended, waited = os.waitpid(child, os.WNOHANG)
        status = waited if ended else None
        time.sleep(0.005)
    fault = ""
    if status is None:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        status, fault = os.waitpid(child, 0)[1], f"it took more than {seconds} s"
    code, text = os.waitstatus_to_exitcode(status), log.read_text(errors="replace")
    return End(code, text, fault or _fault(case, code, text))


def _fault(case: Case, code: int, text: str) -> str:
    """Return why a case ended otherwise than it should, empty if it did not."""
    if code not in CODES.get(case.command, (0, 1)):
        return f"exit code {code}"
    for sign in SIGNS:
        if sign in text:
            return f"it printed: {sign}"
    is_told = bool(text.strip()) if case.command in JUDGING else "error: " in text
    return "an error without a message" if code == ERROR.get(case.command, 1) and not is_told else ""


def _be_the_run(case: Case, home: Path, log: Path) -> None:
    """Become the run; never return."""
    code = 99
    try:
        os.setsid()
        os.chdir(home)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115
        sys.stdout, sys.stderr = (open(stream, "w", closefd=False) for stream in (1, 2))  # noqa: SIM115
        if case.is_launched:  # its processes load what this one's main module is
            os.environ["PYTHONPATH"] = str(ROOT)
            os.execv(sys.executable, [sys.executable, "-m", "runner", *case.arguments])
        code = _main(case.arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

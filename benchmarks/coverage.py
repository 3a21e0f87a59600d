"""How many networks keep what they compute on their way from PyTorch to ONNX Runtime, and why the others do not.

    python benchmarks/coverage.py [--networks timm:resnet18,torchvision:vgg11] [--opsets 11,13] [--zoo [TASK]]
                                  [--write FILE]

Each network gets random weights and goes through the runner's own stages up to `score` on a few synthetic pictures of
its task, at each opset, in a process of its own that is ended when it takes too long or too much memory. It holds where
its outputs have a mean cosine of at least 0.999 with PyTorch's, every one of them, and choose the same classes. The
networks are at least one of every module of timm that takes pictures (the smallest one that there is), some of
torchvision, and with --zoo every option of conf/model, or those of one task; --networks takes others of theirs. Options
that are ONNX models from outside are left out.

What is found is kept in --results, a line of JSON each. Where that says already, with the same versions, that a
network holds, it is not tried again: an interrupted run goes on, and what failed is tried anew. Exits 1 if any does not
hold.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from threading import Event, Lock
from typing import Any

from coverage_networks import listed, unlisted, zoo
from coverage_page import COSINE, SAMPLES, Outcome, markdown, read, summary, versions

STAND_INS = {
    "image_classification": "synthetic_images",
    "detection": "synthetic_boxes",
    "segmentation": "synthetic_shapes",
    "restoration": "synthetic_textures",
    "recognition": "synthetic_words",
    "ocr_detection": "synthetic_scenes",
}
"""Task -> the data set that needs no files; models of other tasks bring one themselves."""
SECONDS = 900.0
"""What a network may take at one opset."""
MEMORY_BYTES = 8 << 30
"""What its process may hold."""
POLL_SECONDS = 0.25


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", help="library:name or zoo:option, separated by commas, instead of the list")
    parser.add_argument(
        "--zoo",
        nargs="?",
        const="all",
        choices=("all", *STAND_INS),
        help="every option of conf/model, or those of one task, instead of the list",
    )
    parser.add_argument("--opsets", default="11,13")
    parser.add_argument("--jobs", type=int, default=1, help="networks at a time")
    parser.add_argument("--results", type=Path, default=Path("outputs/coverage.jsonl"))
    parser.add_argument("--write", type=Path, help="where to write the table of all results, in Markdown")
    parser.add_argument("--child", nargs=3, metavar=("NETWORK", "OPSETS", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options.child[0], _numbers(options.child[1]), Path(options.child[2]))
    networks = options.networks.split(",") if options.networks else zoo(options.zoo) if options.zoo else listed()
    opsets = _numbers(options.opsets)
    found = read(options.results)
    jobs = [(network, [o for o in opsets if not _known(found, network, o)]) for network in networks]
    keep = Keeper(options.results, sum(len(missing) for _, missing in jobs))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            list(pool.map(lambda job: go_through(*job, keep), jobs))
        except BaseException:
            keep.stopped.set()
            raise
    found = read(options.results)
    mine = [found[network, opset] for network in networks for opset in opsets if (network, opset) in found]
    print(summary(mine))
    if not options.networks and not options.zoo and unlisted():
        print(f"modules of the installed timm that the list lacks: {', '.join(unlisted())}")
    if options.write:
        options.write.write_text(markdown([one for one in found.values() if one.versions == versions()]))
    return int(len(mine) < len(networks) * len(opsets) or not all(one.holds for one in mine))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _known(found: dict[tuple[str, int], Outcome], network: str, opset: int) -> bool:
    outcome = found.get((network, opset))
    return outcome is not None and outcome.holds and outcome.versions == versions()


class Keeper:
    """Writes down and tells each outcome as it comes. Once `stopped` is set, the children are ended."""

    def __init__(self, path: Path, wanted: int) -> None:
        self.stopped = Event()
        self._path, self._wanted, self._done, self._lock = path, wanted, 0, Lock()
        path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, outcome: Outcome) -> None:
        with self._lock:
            self._done += 1
            with self._path.open("a") as file:
                file.write(json.dumps(asdict(outcome)) + "\n")
            told = f"holds (cosine {outcome.cosine:.7f})" if outcome.holds else f"FAILS: {outcome.reason}"
            place = f"{self._done}/{self._wanted} {outcome.network} opset {outcome.opset}"
            print(f"{place}: {told}, {outcome.seconds:.0f} s", flush=True)


def go_through(network: str, opsets: Sequence[int], keep: Keeper) -> None:
    """One network at these opsets, in a child; where that dies, in another for the opsets after."""
    missing = list(opsets)
    with tempfile.TemporaryDirectory(prefix="coverage-") as scratch:
        while missing and not keep.stopped.is_set():
            start = time.monotonic()
            death = _in_a_child(network, missing, Path(scratch), keep.stopped)
            for opset in list(missing):
                path = Path(scratch) / f"{opset}.json"
                if not path.exists():
                    break
                keep(_judged(network, opset, json.loads(path.read_text())))
                missing.remove(opset)
            if missing and not keep.stopped.is_set():  # it died at the first of these
                spent = time.monotonic() - start
                keep(Outcome(network, missing.pop(0), death, "process", None, None, None, spent, versions()))


def _in_a_child(network: str, opsets: Sequence[int], scratch: Path, stopped: Event) -> str:
    """Run the child to its end; returns how it died, if it did."""
    command = [sys.executable, __file__, "--child", network, ",".join(map(str, opsets)), str(scratch)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path[1:]])}
    environment.setdefault("OMP_NUM_THREADS", "1")  # more would only wait for each other where something else runs
    with (scratch / "child.log").open("wb") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        death = _watched(child, scratch, stopped)
    if death or child.returncode == 0:
        return death or "the process wrote no result"
    last = (scratch / "child.log").read_text(errors="replace").strip().splitlines()[-1:]
    if child.returncode < 0:
        return f"the process was killed by {signal.Signals(-child.returncode).name}"
    return f"the process ended with status {child.returncode}: {' '.join(last)}"


def _watched(child: subprocess.Popen[bytes], scratch: Path, stopped: Event) -> str:
    """Wait for the child; ends its whole group when it takes too long or too much. Returns why, if so."""
    start, done, death = time.monotonic(), 0, ""
    try:
        while child.poll() is None and not stopped.wait(POLL_SECONDS):
            written = len(list(scratch.glob("*.json")))
            if written > done:
                start, done = time.monotonic(), written
            if time.monotonic() - start > SECONDS:
                death = f"takes more than {SECONDS:.0f} s"
                break
            if _resident_bytes(child.pid) > MEMORY_BYTES:
                death = f"takes more than {MEMORY_BYTES / 2**30:.0f} GiB of memory"
                break
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return death


def _resident_bytes(pid: int) -> int:
    """Of the processes of the child's session."""
    pages = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == pid:  # the session, whose leader the child is
                pages += int(fields[21])
    return pages * os.sysconf("SC_PAGE_SIZE")


def child(network: str, opsets: Sequence[int], folder: Path) -> int:
    """Go through one network at each opset, writing FOLDER/<opset>.json: the runner's result."""
    for opset in opsets:
        start = time.monotonic()
        found = _result(network, opset, folder)
        partial = folder / f"{opset}.partial"
        partial.write_text(json.dumps(found | {"seconds": time.monotonic() - start}))
        partial.rename(folder / f"{opset}.json")
    return 0


def _result(network: str, opset: int, folder: Path) -> dict[str, Any]:
    """The runner's result, or an error alone where the configuration could not be composed."""
    from runner.__main__ import main as run
    from runner.core import RunnerError

    written = folder / f"run-{opset}" / "result.json"
    told = io.StringIO()
    try:
        sys.argv = ["runner", *arguments(network, opset, folder / "store"), f"hydra.run.dir={written.parent}"]
        with contextlib.redirect_stderr(told):
            run()
    except RunnerError as error:
        told.write(error.message)
    print(told.getvalue(), flush=True)
    if written.exists():
        found: dict[str, Any] = json.loads(written.read_text())
        return found
    return {"error": {"stage": "config", "message": told.getvalue()}}


def arguments(network: str, opset: int, store: Path) -> list[str]:
    """The command line of the runner for a network at an opset."""
    from runner.config import compose, libraries

    library, _, name = network.partition(":")
    chosen = [f"model={name}", "model.aipp=false"] if library == "zoo" else [f"model={library}", f"model.arch={name}"]
    if library in libraries.LISTED_BY:
        said = libraries.catalogue_of(library, store).networks.get(name)
        chosen += ["model.network.num_classes=1000"] if said and not said.classes else []
    return [
        *chosen,
        *data(compose.compose([*chosen, f"cache_dir={store}"]).model.task),
        f"model.export.opset={opset}",
        "weights=random",
        "stages=[score]",
        f"cache_dir={store}",
    ]


def data(task: str) -> list[str]:
    """The part of the command line that chooses the samples for a task."""
    if task == "image_classification":
        return ["dataset=synthetic_images", f"dataset.reader.count={SAMPLES}", "dataset.reader.classes=2"]
    if task in STAND_INS:
        return [f"dataset={STAND_INS[task]}", f"limit={SAMPLES // 2}", f"batch={SAMPLES // 2}"]
    return [f"limit={SAMPLES}"]


def _judged(network: str, opset: int, result: dict[str, Any]) -> Outcome:
    """What the runner's result says of the network."""
    fidelity = result.get("fidelity") or {}
    cosine, agreement = fidelity.get("cosine"), fidelity.get("top1_agreement")
    stage, reason = "", ""
    if result.get("error"):
        stage, reason = result["error"]["stage"], _short(result["error"]["message"])
    elif not fidelity:
        stage, reason = "score", "there is no fidelity"
    elif not cosine >= COSINE:
        stage, reason = "score", f"the cosine with PyTorch's outputs is {cosine:.4f}"
    elif agreement is not None and agreement < 100:
        stage, reason = "score", f"only {agreement:.0f} % of the samples get PyTorch's class"
    return Outcome(
        network, opset, reason, stage, cosine, agreement, fidelity.get("max_abs"), result["seconds"], versions()
    )


def _short(message: str) -> str:
    """The first line of an error, without the paths in it."""
    operator = re.search(r"operator '([\w:]+)' to ONNX opset version (\d+) is not supported", message)
    if operator:
        return f"torch exports no {operator[1]} at opset {operator[2]}"
    line = message.strip().splitlines()[0] if message.strip() else "no message"
    return re.sub(r"\S*/(?:store|coverage-)\S*", "FILE", re.split(r"\.\s", line)[0])[:240]


if __name__ == "__main__":
    sys.exit(main())

"""How long does a report of a year's results take, and how much memory, with every figure over time drawn?

    python benchmarks/report.py [--results 10000] [--rounds 3] [--seconds 2.5] [--mib 300]

Results as the runner writes them are made in a temporary folder: 20 models, each at six batch sizes on three machines,
run again and again with a new version of PyTorch every quarter; one in fifty failed, one in fifty was not valid; sweeps
of six jobs, of which one in twenty lacks a job. `python -m runner.report` then reports them, as a process. Prints the
fastest round and the largest memory; exits 1 if one of them is above its limit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

BATCHES = (1, 4, 8, 16, 32, 64)
MACHINES = (("310P3", "ais_bench", "Kunpeng 920, 96 cores"), ("310", "ais_bench", "Kunpeng 920, 64 cores"),
            ("cpu", "onnxruntime", "AMD EPYC 7763, 32 cores"))  # fmt: skip
MODELS = 20
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
STAGES = ("weights", "export", "simplify", "compile", "prepare", "infer", "reference", "score", "benchmark")


def main() -> None:
    """Make the results, report them, and exit with 1 if that took too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5, help="the longest that the fastest round may take")
    parser.add_argument("--mib", type=float, default=300.0, help="the most memory that a round may take")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="runner-report-") as folder:
        for number in range(arguments.results):
            _write(Path(folder), number, arguments.results)
        rounds = [_measured(folder) for _ in range(arguments.rounds)]
        page_mib = (Path(folder) / "report.html").stat().st_size / 2**20
    seconds, mib = min(each[0] for each in rounds), max(each[1] for each in rounds)
    print(f"{arguments.results} results: {seconds:.2f} s (limit {arguments.seconds}), {mib:.0f} MiB (limit"
          f" {arguments.mib:.0f}); report.html has {page_mib:.1f} MiB")  # fmt: skip
    sys.exit(0 if seconds <= arguments.seconds and mib <= arguments.mib else 1)


def _measured(folder: str) -> tuple[float, float]:
    """Report once; return the seconds and the MiB of the process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "runner.report", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"runner.report ended with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def _write(folder: Path, number: int, count: int) -> None:
    """Write the result of a job of a sweep, and the sweep's sweep.json with its first job."""
    sweep, job = divmod(number, len(BATCHES))
    model = f"model_{sweep % MODELS}"
    soc, tool, cpu = MACHINES[sweep // MODELS % len(MACHINES)]
    ended = START + timedelta(days=365) * (number / count)
    name = f"{START + timedelta(days=365) * (sweep * len(BATCHES) / count):%Y-%m-%d_%H-%M-%S}.{sweep:06}"
    typed = [[f"model={model}", f"soc={soc}", f"batch={batch}", "tool.adapter.threads=2"] for batch in BATCHES]
    run = folder / "sweeps" / name / str(job)
    run.mkdir(parents=True)
    if job == 0:
        jobs = [{"name": str(index), "overrides": each} for index, each in enumerate(typed)]
        _dump(run.parent / "sweep.json", {"schema": 1, "created": ended.isoformat(), "host": cpu, "jobs": jobs})
    if sweep % 20 == 7 and job == 5:
        run.rmdir()
        return
    made = {"model": model, "soc": soc, "tool": tool, "batch": BATCHES[job], "overrides": typed[job]}
    packages = {"torch": f"2.{1 + int(4 * number / count)}", "onnx": "1.16.0", "onnxruntime": "1.18.0", "timm": "1.0"}
    environment = {"host": cpu.split()[0], "cpu": cpu, "python": "3.11", "packages": packages, "os": "Linux"}
    ending = {"created": ended.isoformat(), "environment": environment, "commit": f"{number:040x}"}
    _dump(run / "result.json", {**made, **ending, **(_failure() if number % 50 == 49 else _figures(number, ended))})


def _failure() -> dict[str, Any]:
    return {"schema": 1, "status": "failed", "dataset": "imagenet", "error": {"stage": "compile", "message": "E10016",
            "fix": "correct the name"}}  # fmt: skip


def _figures(number: int, ended: datetime) -> dict[str, Any]:
    rate, reasons = 1000.0 + number % 97, ["device busy"] if number % 50 == 25 else []
    latency_ms = {"mean": 1.0, "p50": 1.0, "p90": 1.1, "p95": 1.1, "p99": 1.2, "min": 0.9, "max": 2.0, "std": 0.1}
    gate = {"name": "accuracy.top1", "measured": 75.0 + number % 7 / 100, "expected": 75.1, "tolerance": 1.0,
            "verdict": "pass", "reason": "", "source": "a table"}  # fmt: skip
    gates = [gate, {**gate, "name": "fidelity.class.cosine"}, {**gate, "name": "batch_invariance", "verdict": "skip"}]
    return {
        "schema": 1,
        "status": "ok",
        "dataset": "imagenet",
        "weights": {"origin": "file", "path": "/weights/w.pth", "sha256": "ab" * 32},
        "accuracy": {"top1": 75.0 + number % 7 / 100, "top5": 92.0, "samples": 50000},
        "metrics": {name: {"unit": "percent", "better": "higher"} for name in ("top1", "top5")},
        "fidelity": {"samples": 256, "top1_agreement": 100.0, "cosine": 1.0, "max_abs": 0.1, "mean_abs": 0.01},
        "performance": {"batch": 1, "samples_per_second": rate, "latency_ms": latency_ms, "iterations": 100,
                        "valid": not reasons, "reasons": reasons, "measured_at": ended.isoformat()},
        "gates": gates,
        "stages": [{"name": name, "status": "ran", "seconds": 1.0, "key": "ab" * 16} for name in STAGES],
        "commands": [{"stage": "compile", "argv": ["atc", "--framework=5", "--model=model.onnx", "--output=model"]}],
    }  # fmt: skip


def _dump(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()

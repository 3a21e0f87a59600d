"""What a sweep of batch sizes costs beside the sum of its parts that differ.

    python benchmarks/sweep.py [--model dpn131] [--batches 1,4,8,16,32,64] [--pictures 32]

Runs the sweep in a temporary folder with random weights and an empty store, adds up the seconds of every stage that
ran (weights, export and samples once for all batch sizes, inference and benchmark for each), and sets the wall-clock
time of the whole command beside them. Exits 1 if the whole takes 1.15 times the sum or more, or if a stage that does
not depend on the batch size ran twice.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

SHARED = ("weights", "export", "prepare", "reference")
LIMIT = 1.15


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="dpn131")
    parser.add_argument("--batches", default="1,4,8,16,32,64")
    parser.add_argument("--pictures", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wall_seconds = run_sweep(Path(folder), options.model, options.batches, options.pictures)
        results = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("sweep/*/result.json"))]
    return tell(results, wall_seconds)


def run_sweep(folder: Path, model: str, batches: str, pictures: int) -> float:
    """Seconds of the whole command."""
    command = [
        *(sys.executable, "-m", "runner", "-m", f"model={model}", f"batch={batches}", "weights=random"),
        *("dataset=synthetic_images", f"dataset.reader.count={pictures}", "hydra.sweep.dir=sweep"),
    ]
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def tell(results: list[dict], wall_seconds: float) -> int:
    """Print the parts and the ratio; the exit code."""
    ran = [(result["batch"], stage) for result in results for stage in result["stages"] if stage["status"] == "ran"]
    for batch, stage in ran:
        print(f"batch {batch:>3}  {stage['name']:<10} {stage['seconds']:8.2f} s")
    parts_seconds = sum(stage["seconds"] for _, stage in ran)
    ratio = wall_seconds / parts_seconds
    print(f"sum of the parts {parts_seconds:.1f} s, the sweep of {len(results)} {wall_seconds:.1f} s: {ratio:.3f}x")
    times = Counter(stage["name"] for _, stage in ran)
    twice = [name for name in SHARED if times[name] > 1]
    if twice:
        print(f"made more than once: {', '.join(twice)}")
    return int(bool(twice) or ratio >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())

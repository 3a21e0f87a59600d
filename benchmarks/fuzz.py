"""Whole runs of made-up configurations: `python -m benchmarks.fuzz --runs 10000 --seed 0`.

Each is a process forked from one that has the libraries loaded. Those that end otherwise than with 0, 1 or 2 and a
message, or take longer than a minute, are printed, and `--keep` adds them to tests/fuzz/corpus, which the tests try.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz import runs


def main() -> int:
    """Try the runs; return 0 if all ended as they should, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="the first run's; each further one has the next")
    parser.add_argument("--keep", action="store_true", help="add what breaks to tests/fuzz/corpus")
    parser.add_argument("--kept", action="store_true", help="try what tests/fuzz/corpus holds, and no others")
    options = parser.parse_args()
    runs.load_libraries()
    ends: Counter[str] = Counter()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        home = runs.prepare(Path(folder))
        seeds = range(options.seed, options.seed + options.runs)
        made_up = ((f"seed_{seed}", runs.made_up(seed)) for seed in seeds)
        for name, case in runs.kept() if options.kept else made_up:
            end = runs.run(case, home)
            ends[end.fault or f"exit code {end.code}"] += 1
            if end.fault:
                print(f"{name}: {end.fault}\n  {case.arguments}\n  {end.text[-500:]}", flush=True)
                if options.keep:
                    print(f"  kept: {runs.keep(case, name)}")
    seconds, told = time.monotonic() - started, ", ".join(f"{count} {end}" for end, count in ends.most_common())
    print(f"{ends.total()} runs in {seconds:.0f} s: {told}")
    return 0 if all(end.startswith("exit code") and end[-1] in "012" for end in ends) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Made-up command lines, runs and others: `python -m benchmarks.fuzz --runs 10000 --seed 0`.

Each is a process forked from one that has the libraries loaded. Those that end otherwise than with an exit code of the
contract and a message, or take longer than a minute, are printed, and `--keep` adds them to tests/fuzz/corpus. Those
of the corpus are tried before any other.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.fuzz import cases, runs


def main() -> int:
    """Try the runs; return 0 if all ended as they should, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="the first run's; each further one has the next")
    parser.add_argument("--keep", action="store_true", help="add what breaks to tests/fuzz/corpus")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        home = runs.prepare(Path(folder))
        seeds = range(options.seed, options.seed + options.runs)
        made_up = ((f"seed_{seed}", cases.made_up(seed, runs.template(home))) for seed in seeds)
        return _try_all(itertools.chain(runs.kept(), made_up), home, options.keep)


def _try_all(named: Iterable[tuple[str, cases.Case]], home: Path, keeps: bool) -> int:
    """Try cases by name, and print their faults, and how far it is; return the exit code."""
    ends: Counter[str] = Counter()
    faults, started = 0, time.monotonic()
    for name, case in named:
        end = runs.run(case, home)
        ends[f"{case.command} {end.fault or end.code}"] += 1
        if end.fault:
            faults += 1
            print(f"{name}: {end.fault}\n  {case.arguments}\n  {end.text[-500:]}", flush=True)
            if keeps:
                print(f"  kept: {runs.keep(case, name)}")
        if ends.total() % 100 == 0:
            print(f"{name}: {ends.total()} in {time.monotonic() - started:.0f} s, {faults} faults", flush=True)
    told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
    print(f"{ends.total()} in {time.monotonic() - started:.0f} s, {faults} faults; by command and exit code: {told}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

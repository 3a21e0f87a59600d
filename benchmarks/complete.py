"""How long a TAB takes: bash calls the completion function, which starts Python for every one.

    python benchmarks/complete.py [--rounds 9]

The median of each line counts, from the call of the function to its answer. Exits 1 when one is beyond the limit.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runner import completion

LIMIT_SECONDS = 0.3
LINES = ("mzr ", "mzr model=", "mzr model.arch=resnet", "python -m runner weights=")


def main() -> None:
    parser = argparse.ArgumentParser(description="how long a TAB takes")
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="complete-") as scratch:
        medians = {line: statistics.median(_seconds(line, Path(scratch)) for _ in range(rounds)) for line in LINES}
    for line, seconds in medians.items():
        print(f"{line!r:<32} {seconds * 1000:4.0f} ms")
    sys.exit(1 if max(medians.values()) > LIMIT_SECONDS else 0)


def _seconds(line: str, folder: Path) -> float:
    typed = f"COMP_LINE={line!r}; COMP_POINT={len(line)}; _mzr; [[ -n ${{COMPREPLY[0]}} ]]"
    command = ["bash", "-c", f"{completion.script(['--completion', 'bash'])}\n{typed}"]
    begun = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()

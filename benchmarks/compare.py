"""How long `python -m runner.compare` takes for two runs, beside a start of Python that does nothing.

    python benchmarks/compare.py [--rounds 11] [--calls 10000]

Writes two runs by hand, each with its result, its resolved configuration and the raw latencies of so many calls, and
compares them in a process of its own, in turns with `python -c pass`. The fastest round of each counts, as the one that
other work on the machine disturbed least. Exits 1 beyond the limit.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from omegaconf import OmegaConf

from runner.config.compose import compose
from runner.core import Timing
from runner.measure import distribution, mean_ms, samples_per_second
from runner.results import Latency, Performance, Result, result

LIMIT_SECONDS = 0.6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--calls", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="compare-") as scratch:
        runs = [write_run(Path(scratch) / name, options.calls, seed) for seed, name in enumerate("ab")]
        command = [sys.executable, "-m", "runner.compare", *map(str, runs)]
        rounds = [(seconds([sys.executable, "-c", "pass"]), seconds(command)) for _ in range(options.rounds)]
    bare, compared = map(min, zip(*rounds, strict=True))
    print(f"a bare start {bare:.3f} s, two runs of {options.calls} calls {compared:.3f} s: {compared / bare:.1f}x")
    return int(compared > LIMIT_SECONDS)


def write_run(folder: Path, calls: int, seed: int) -> Path:
    """Write a run of dcgan with random latencies of about a millisecond."""
    drawn = random.Random(seed)
    latencies_ms = tuple(1.0 + drawn.expovariate(10.0) for _ in range(calls))
    timing = Timing(batch=1, latencies_ms=latencies_ms, warmup=3, source="made up")
    latency = Latency(mean=mean_ms(timing), **distribution(timing.latencies_ms))
    performance = Performance(samples_per_second=samples_per_second(timing), latency_ms=latency, iterations=calls)
    folder.mkdir()
    own = Result(status="ok", model="dcgan", soc="cpu", tool="onnxruntime", batch=1, performance=performance)
    result.write(folder, own)
    result.write_latencies(folder, timing)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(compose(["model=dcgan", f"seed={seed}"]), resolve=True))
    return folder


def seconds(command: list[str]) -> float:
    """Return the wall-clock time of a command that ends with 0."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())

"""What measuring through the runner adds to a latency: a bare ONNX Runtime loop, the runner, the runner isolated.

    python benchmarks/overhead.py [--rounds 9] [--seconds 1]

Two networks: a small convolutional one of a few ms a call, and DCGAN's generator from zoo/ (both with random weights).
All three ways run the same file on the same inputs, in turns, in one run; each round gives a ratio of reported means
against the bare loop beside it, and their median counts. A round in which something else held a CPU for more than 5 %
of any of its three measurements is thrown away and made again. Exits 1 when a median is beyond its limit, 2 when the
machine was too busy to tell.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from ways import export, in_turn

from runner.config.callables import Target
from runner.core import CompiledModel, Placement, TensorSpec, Timing
from runner.data import random_inputs
from runner.measure import MeasuringLimits, mean_ms
from runner.measure.loop import busy
from runner.measure.machine import waited_seconds
from runner.tools import isolated
from runner.tools.onnxruntime import OnnxRuntime

LIMITS = {"runner": 1.02, "isolated": 1.05}
CPU = Placement(soc="cpu", kind="cpu", devices=(0,))
WARMUP = 3
TRIES = 5
"""How many rounds are begun for each that is asked for."""
Inputs = Mapping[str, NDArray[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description="what measuring through the runner adds to a latency")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="least time of one measurement")
    arguments = parser.parse_args()
    limits = MeasuringLimits(WARMUP, 10, arguments.seconds, 60.0)
    missed = False
    with tempfile.TemporaryDirectory(prefix="overhead-") as scratch:
        for name, build in {"convolutions": convolutions, "dcgan": dcgan}.items():
            model = build(Path(scratch) / f"{name}.onnx")
            rounds, disturbed = _rounds(model, limits, Path(scratch), arguments.rounds)
            if not rounds:
                print(f"{name}: all {disturbed} rounds were disturbed by other work on this machine")
                sys.exit(2)
            missed |= _report(name, rounds, disturbed)
    sys.exit(1 if missed else 0)


def convolutions(path: Path) -> CompiledModel:
    """Four 3x3 convolutions of 32 channels on [4, 3, 96, 96]."""
    from torch import nn

    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()]
    return _exported(nn.Sequential(*layers), TensorSpec("x", "float32", (3, 96, 96)), 4, path)


def dcgan(path: Path) -> CompiledModel:
    """DCGAN's generator on [4, 100, 1, 1]."""
    from zoo.dcgan import Generator

    return _exported(Generator(), TensorSpec("noise", "float32", (100, 1, 1)), 4, path)


def _exported(network: Any, tensor: TensorSpec, batch: int, path: Path) -> CompiledModel:
    export(network, tensor, ["y"], path, batch)
    return CompiledModel(
        path=path, sha256="", soc="cpu", batch=batch, inputs=(tensor,), outputs=(TensorSpec("y", "float32", ()),)
    )


def _rounds(
    model: CompiledModel, limits: MeasuringLimits, scratch: Path, wanted: int
) -> tuple[list[dict[str, float]], int]:
    """Undisturbed rounds, as many as wanted if there are, and how many others were thrown away."""
    rounds: list[dict[str, float]] = []
    begun = 0
    while len(rounds) < wanted and begun < TRIES * wanted:
        found = _round(model, limits, scratch, begun)
        begun += 1
        if not any(disturbed for _, disturbed in found.values()):
            rounds.append({way: latency_ms for way, (latency_ms, _) in found.items()})
    return rounds, begun - len(rounds)


def _round(model: CompiledModel, limits: MeasuringLimits, scratch: Path, index: int) -> dict[str, tuple[float, bool]]:
    """Mean latency in ms as each way reports it, and whether it was disturbed; every other round goes backwards."""
    inputs = random_inputs.batch_of(model.inputs, model.batch)
    ways: dict[str, Callable[[], tuple[float, bool]]] = {
        "bare": lambda: _bare(model, inputs, limits),
        "runner": lambda: _measured(model, inputs, limits, scratch),
        "isolated": lambda: _isolated(model, inputs, limits, scratch),
    }
    return {way: ways[way]() for way in in_turn(ways, index)}


def _bare(model: CompiledModel, inputs: Inputs, limits: MeasuringLimits) -> tuple[float, bool]:
    """The loop that one would write by hand: one clock around all calls."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
    feeds = dict(inputs)
    for _ in range(limits.warmup):
        session.run(None, feeds)
    calls = 0
    waited = waited_seconds()
    start = time.perf_counter()
    while (seconds := time.perf_counter() - start) < limits.min_seconds or calls < limits.min_iterations:
        session.run(None, feeds)
        calls += 1
    return 1000.0 * seconds / calls, bool(busy(waited, waited_seconds(), seconds))


def _measured(model: CompiledModel, inputs: Inputs, limits: MeasuringLimits, scratch: Path) -> tuple[float, bool]:
    return _told(OnnxRuntime().measure(model, CPU, inputs, limits, scratch))


def _isolated(model: CompiledModel, inputs: Inputs, limits: MeasuringLimits, scratch: Path) -> tuple[float, bool]:
    target = Target("runner.tools.onnxruntime.OnnxRuntime")
    with tempfile.TemporaryDirectory(dir=scratch) as work:
        return _told(isolated.measure(target, model, CPU, inputs, limits, Path(work)))


def _told(timing: Timing) -> tuple[float, bool]:
    return mean_ms(timing), any(reason.startswith("device busy") for reason in timing.reasons)


def _report(name: str, rounds: list[dict[str, float]], disturbed: int) -> bool:
    """Print a network's figures; returns whether a limit is missed."""
    bare = statistics.median(found["bare"] for found in rounds)
    print(f"{name}: bare loop {bare:.3f} ms (median of {len(rounds)} rounds; {disturbed} disturbed ones thrown away)")
    missed = False
    for way, limit in LIMITS.items():
        ratios = sorted(found[way] / found["bare"] for found in rounds)
        ratio = statistics.median(ratios)
        missed |= ratio > limit
        verdict = "BEYOND" if ratio > limit else "within"
        print(f"  {way:<9} {ratio:.3f} of the bare loop ({ratios[0]:.3f} to {ratios[-1]:.3f}), {verdict} {limit}")
    return missed


if __name__ == "__main__":
    main()

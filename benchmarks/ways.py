"""Several ways to do one thing, timed beside each other: each in a process of its own, in turns."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from runner.core import TensorSpec

Parts = dict[str, float]
"""Seconds by part of a way, and figures."""


class Clock:
    """Seconds by part, summed over its laps."""

    def __init__(self) -> None:
        self.parts: Parts = {}
        self._last = time.perf_counter()

    def lap(self, part: str | None) -> None:
        """Count the time since the last lap as that of a part; of none if it is not to count."""
        now = time.perf_counter()
        if part:
            self.parts[part] = self.parts.get(part, 0.0) + now - self._last
        self._last = now


def in_turn(ways: Iterable[str], number: int) -> list[str]:
    """The ways in the order of a round: every other round goes through them backwards."""
    return list(ways) if number % 2 == 0 else list(ways)[::-1]


def run(benchmark: str, way: str, *arguments: str) -> Parts:
    """The parts that a benchmark's `main` prints as JSON when it is called with --way."""
    # not as a script, which the processes that prepare pictures would import anew
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import {benchmark}; {benchmark}.main()"
    argv = [sys.executable, "-W", "ignore", "-c", code, "--way", way, *arguments]
    return dict(json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout))


def best(rounds: Sequence[dict[str, Parts]]) -> dict[str, Parts]:
    """The least of each part, as that of the round which other work on the machine disturbed least."""
    return {
        way: {part: min(found[way][part] for found in rounds) for part in parts} for way, parts in rounds[0].items()
    }


def verdict(met: bool) -> str:
    """Whether a limit is met, in a word."""
    return "meets" if met else "MISSES"


def export(network: Any, tensor: TensorSpec, outputs: Sequence[str], path: Path, batch: int | None = None) -> None:
    """Export a network of one input at opset 11, for batches of any size if `batch` is None."""
    import torch

    free = {name: {0: "batch"} for name in (tensor.name, *outputs)}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dynamo=False is deprecated, and the only way to opset 11
        torch.onnx.export(
            network.eval(),
            (torch.rand(batch or 1, *tensor.shape),),
            str(path),
            dynamo=False,
            opset_version=11,
            input_names=[tensor.name],
            output_names=list(outputs),
            dynamic_axes=free if batch is None else None,
        )

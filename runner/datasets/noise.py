"""Random numbers: the noise that generators take, and a stand-in where a network's data are not at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runner import random_inputs
from runner.artifacts import Samples, TensorSpec
from runner.datasets import HashFiles, Policy, Request
from runner.datasets.storage import (
    create_array,
    fill,
    finish,
    limit_note,
    numbered,
    positive_faults,
    stored_bytes,
    wanted_count,
)
from runner.errors import Fault
from runner.progress import track


@dataclass(frozen=True)
class Noise:
    """`count` samples for every input of the model: N(0, 1), or whole numbers that every vocabulary has."""

    count: int

    needs_policy = False
    seeded = True

    def faults(self, request: Request) -> list[Fault]:
        return positive_faults(self, "count")

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        return None

    def stored_bytes(self, request: Request) -> int:
        return stored_bytes(request.inputs, wanted_count(request.limit, self.count))

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        count = wanted_count(request.limit, self.count)
        for position, tensor in enumerate(request.inputs):
            _write_noise(np.random.default_rng([request.seed, position]), tensor, count, out)
        return finish(
            out,
            request.inputs,
            numbered("noise_", count, 4, self.count),
            stand_in=_stand_in(request),
            note=limit_note(request.limit, self.count, "samples of noise"),
        )


def _stand_in(request: Request) -> str | None:
    """Noise is the very data of a generator; nothing takes random indices but for want of its own."""
    whole = [tensor.name for tensor in request.inputs if not tensor.is_floating]
    return f"random whole numbers for {', '.join(whole)}" if whole else None


def _write_noise(random: np.random.Generator, tensor: TensorSpec, count: int, out: Path) -> None:
    """Draw in order, a chunk at a time, so that a sample does not depend on how many follow."""
    with track("prepare", count, "samples") as advance:
        fill(
            create_array(out, tensor, count),
            lambda start, end: random_inputs.values(random, tensor.dtype, (end - start, *tensor.shape)),
            advance,
        )

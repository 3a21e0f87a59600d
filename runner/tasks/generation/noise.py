"""Reader of random numbers: noise for generators, and a substitute for missing data of other networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import Problem, Samples, TensorSpec, bounded, bounds, track
from runner.core.lazy import np
from runner.data import HashFiles, Policy, Request, random_inputs, storage


@dataclass(frozen=True)
class Noise:
    """`count` samples for every input of the model: N(0, 1), or integers that are in every vocabulary."""

    count: int = bounded(least=1)

    needs_policy = False
    seeded = True
    has_truth = False

    def validate(self, request: Request) -> list[Problem]:
        return list(bounds.problems(self, "dataset.reader"))

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        return None

    def stored_bytes(self, request: Request) -> int:
        return storage.stored_bytes(_inputs(request), storage.wanted_count(request.limit, self.count))

    def write(self, request: Request, out: Path, policy: Policy | None) -> Samples:
        count = storage.wanted_count(request.limit, self.count)
        for position, tensor in enumerate(_inputs(request)):
            _write_noise(np.random.default_rng([request.seed, position]), tensor, count, out)
        return storage.finish(
            out,
            request.inputs,
            storage.numbered("noise_", count, 4, self.count),
            substitute=_substitute(request),
            note=storage.limit_note(request.limit, self.count, "samples of noise"),
        )


def _inputs(request: Request) -> list[TensorSpec]:
    return [random_inputs.example(tensor) for tensor in request.inputs]


def _substitute(request: Request) -> str | None:
    """Return a note if an input has integers: noise is a generator's real input, random indices are a substitute."""
    whole = [tensor.name for tensor in request.inputs if not tensor.is_floating]
    return f"random whole numbers for {', '.join(whole)}" if whole else None


def _write_noise(random: np.random.Generator, tensor: TensorSpec, count: int, out: Path) -> None:
    """Draw sequentially in chunks, so that a sample does not depend on the number of samples."""
    with track("prepare", count, "samples") as advance:
        storage.fill(
            storage.create_array(out, tensor, count),
            lambda start, end: random_inputs.values(random, tensor.dtype, (end - start, *tensor.shape)),
            advance,
        )

"""Record which batch sizes of a run have been inferred, so that it can be compared with another batch size.

<cache>/batches/<hash of the run without its batch size>/<batch>     the cache key of that batch size's inference
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from runner.core import Artifact, BatchComparison, Predictions, write_atomically
from runner.pipeline.keys import Stage
from runner.pipeline.setup import Setup
from runner.stages import order
from runner.stages.invariance import InvarianceSpec
from runner.store import Store


def find_other(
    setup: Setup, store: Store, artifacts: Mapping[str, Artifact], infer_key: str
) -> tuple[int, Predictions] | None:
    """Find the smallest other batch size of this run with stored predictions; also record this run's batch size."""
    folder = store.root / "batches" / _run_key(setup, artifacts)
    batch = setup.config.batch.size
    write_atomically(folder / str(batch), infer_key.encode())
    for other, key in _others(folder, batch):
        entry = store.pin("infer", key, Predictions)
        if entry is not None:
            return other, entry.artifact
    return None


def stage(other_batch: int) -> Stage:
    """Return the stage that compares a run's predictions with those of another batch size."""
    return Stage(
        name=order.INVARIANCE,
        kind=BatchComparison,
        spec=InvarianceSpec(other_batch),
        needs=("infer", "other"),
        packages=("numpy",),
    )


def _run_key(setup: Setup, artifacts: Mapping[str, Artifact]) -> str:
    config = setup.config
    described = [
        config.model.name,
        artifacts["weights"].identity,
        artifacts["prepare"].identity,
        config.soc.name,
        config.tool.name,
        config.model.aipp,
        setup.normalisation,
        setup.stored_results and setup.stored_results.samples,
    ]
    return hashlib.sha256(msgspec.json.encode(described)).hexdigest()[:32]


def _others(folder: Path, batch: int) -> Iterator[tuple[int, str]]:
    notes = {int(path.name): path for path in folder.iterdir() if path.name.isdecimal()}
    for other in sorted(set(notes) - {batch}):
        yield other, notes[other].read_text()

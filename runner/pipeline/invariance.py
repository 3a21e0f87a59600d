"""Record which batch sizes of a run have been inferred, so that it can be compared with another batch size.

<cache>/batches/<hash of the run without its batch size>/<batch>     the cache key of that batch size's inference
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from runner.core import Artifact, BatchComparison, Predictions, read_regular, write_atomically
from runner.pipeline.keys import Stage
from runner.pipeline.setup import Setup
from runner.stages import order
from runner.stages.invariance import InvarianceSpec
from runner.store import LONGEST_KEY, Store

OTHER = "other"
"""The name of another batch size's predictions among a run's artifacts."""
_BATCH = re.compile(r"[0-9]{1,18}")
_KEY = re.compile(r"[0-9A-Za-z_-]+")


def find_other(
    setup: Setup, store: Store, artifacts: Mapping[str, Artifact], infer_key: str
) -> tuple[int, Predictions] | None:
    """Find the smallest other batch size of this run with stored predictions; also record this run's batch size."""
    folder = store.folder("batches") / _run_key(setup, artifacts)
    batch = setup.config.batch.size
    write_atomically(folder / str(batch), infer_key.encode(), store.root)
    for other, key in _others(folder, batch, store.root):
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
        needs=("infer", OTHER),
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
        setup.batches,
        setup.normalisation,
        setup.stored_results and setup.stored_results.samples,
    ]
    return hashlib.sha256(msgspec.json.encode(described)).hexdigest()[:32]


def _others(folder: Path, batch: int, root: Path) -> Iterator[tuple[int, str]]:
    notes = {int(path.name): path for path in folder.iterdir() if _BATCH.fullmatch(path.name)}
    for other in sorted(set(notes) - {batch}):
        try:
            key = read_regular(notes[other], LONGEST_KEY, root).decode()
        except (OSError, UnicodeDecodeError):  # not a note of this runner's
            continue
        if _KEY.fullmatch(key):
            yield other, key

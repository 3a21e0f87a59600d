"""Whether a model's answers depend on the batch size: its outputs beside those of another batch size, if any were made.

<cache>/batches/<run, whatever its batch size>/<batch>     the key of that batch size's inference
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from runner.artifacts import Artifact, Fidelity, Predictions, Scores
from runner.hashing import write_atomically
from runner.schema import RunConfig
from runner.store import Store


@dataclass(frozen=True)
class Compared:
    """Each output's closeness to the same samples' at `other_batch`."""

    other_batch: int
    outputs: dict[str, Fidelity]


def compared(config: RunConfig, store: Store, artifacts: Mapping[str, Artifact], infer_key: str) -> Compared | None:
    """Compare this run's predictions with those of the smallest other batch size; None where there is none.

    Raises:
        ComparisonError: the two cannot be compared.
    """
    predictions = artifacts["infer"]
    folder = store.root / "batches" / _run_key(config, artifacts)
    write_atomically(folder / str(config.batch.size), infer_key.encode())
    for batch, key in _others(folder, config.batch.size):
        other = store.take("infer", key, Predictions)
        if other is not None and isinstance(predictions, Predictions):
            return Compared(batch, _compare(store, predictions, other.artifact))
    return None


def _run_key(config: RunConfig, artifacts: Mapping[str, Artifact]) -> str:
    described = [
        config.model.name,
        artifacts["weights"].identity,
        artifacts["prepare"].identity,
        config.soc.name,
        config.tool.name,
        config.model.aipp,
        config.model.preprocess,
    ]
    return hashlib.sha256(msgspec.json.encode(described)).hexdigest()[:32]


def _others(folder: Path, batch: int) -> Iterator[tuple[int, str]]:
    found = {int(path.name): path for path in folder.iterdir() if path.name.isdecimal()}
    for other in sorted(set(found) - {batch}):
        yield other, found[other].read_text()


def _compare(store: Store, one: Predictions, other: Predictions) -> dict[str, Fidelity]:
    key = hashlib.sha256(f"{one.identity} {other.identity}".encode()).hexdigest()[:32]
    known = store.find("invariance", key, Scores)
    if known is not None:
        return known.artifact.fidelity
    from runner.stages.score import compare

    with store.locked("invariance", key, lambda: None):
        store.workplace("invariance", key, resume=False)
        made = Scores({}, one.count, compare(one, other))
        return store.publish("invariance", key, made, 0.0).artifact.fidelity

"""result.json: what a run found. Pure, but for the writing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from runner import environment, gates, performance, slices
from runner.artifacts import Artifact, CompiledModel, Fidelity, OnnxModel, Predictions, Samples, Scores, Timing, Weights
from runner.gates import Gate, Published
from runner.hashing import write_atomically
from runner.invariance import Compared
from runner.schema import ModelConfig, PublishedConfig, RunConfig
from runner.tools import Command

SCHEMA = 1
Status = Literal["ran", "reused", "skipped", "failed"]


@dataclass(frozen=True)
class StageRecord:
    """What became of a stage; `seconds` is what it took in this run."""

    name: str
    status: Status
    seconds: float
    key: str | None


@dataclass(frozen=True)
class Failure:
    """What ended a run."""

    stage: str
    message: str
    fix: str


def build(
    config: RunConfig,
    records: Sequence[StageRecord],
    artifacts: dict[str, Artifact],
    commands: Sequence[Command],
    compared: Compared | None,
    failure: Failure | None,
) -> dict[str, Any]:
    """The content of result.json; parts that the run did not reach are null."""
    scores, timing, weights = artifacts.get("score"), artifacts.get("benchmark"), artifacts.get("weights")
    samples = artifacts.get("prepare")
    return {
        "schema": SCHEMA,
        "created": _now(),
        "status": "failed" if failure else "ok",
        "model": config.model.name,
        "soc": config.soc.name,
        "tool": config.tool.name,
        "batch": config.batch.size,
        "dataset": config.dataset.name,
        "limit": config.limit,
        "stand_in": samples.stand_in if isinstance(samples, Samples) else None,
        "weights": _weights(weights) if isinstance(weights, Weights) else None,
        "accuracy": {**scores.accuracy, "samples": scores.samples} if isinstance(scores, Scores) else None,
        "fidelity": overall(scores.fidelity) if isinstance(scores, Scores) else None,
        "performance": performance.summarise(timing) if isinstance(timing, Timing) else None,
        "gates": [gate.as_dict() for gate in judge(config, artifacts, compared)],
        "artifacts": _paths(artifacts),
        "stages": [asdict(record) for record in records],
        "commands": [{"stage": command.stage, "argv": list(command.argv)} for command in commands],
        "environment": environment.describe({config.tool.name: _tool_version(config)}),
        "error": asdict(failure) if failure else None,
    }


def refused(failure: Failure) -> dict[str, Any]:
    """The content of result.json where the configuration could not even be read."""
    return {
        "schema": SCHEMA,
        "created": _now(),
        "status": "failed",
        "gates": [],
        "stages": [],
        "error": asdict(failure),
    }


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def write(folder: Path, result: dict[str, Any]) -> None:
    """Write result.json into the run folder, whole or not at all."""
    write_atomically(folder / "result.json", (json.dumps(result, indent=2, ensure_ascii=False) + "\n").encode())


def write_latencies(folder: Path, timing: Timing) -> None:
    """Write the raw latencies into latencies_ms.json in the run folder."""
    told = {
        "batch": timing.batch,
        "source": timing.source,
        "settled_after": timing.settled_after,
        "latencies_ms": timing.latencies_ms,
    }
    write_atomically(folder / "latencies_ms.json", (json.dumps(told, ensure_ascii=False) + "\n").encode())


def overall(fidelity: dict[str, Fidelity]) -> dict[str, Any]:
    """The worst of all outputs, and each of them under `per_output`."""
    agreements = [one.top1_agreement for one in fidelity.values() if one.top1_agreement is not None]
    return {
        "samples": min(one.samples for one in fidelity.values()),
        "top1_agreement": min(agreements, default=None),
        "cosine": min(one.cosine for one in fidelity.values()),
        "max_abs": max(one.max_abs for one in fidelity.values()),
        "mean_abs": max(one.mean_abs for one in fidelity.values()),
        "per_output": {name: asdict(one) for name, one in fidelity.items()},
    }


def judge(config: RunConfig, artifacts: dict[str, Artifact], compared: Compared | None) -> list[Gate]:
    """The gates of what the run has reached."""
    scores, samples, weights = artifacts.get("score"), artifacts.get("prepare"), artifacts.get("weights")
    judged: list[Gate] = []
    if isinstance(scores, Scores) and isinstance(samples, Samples) and isinstance(weights, Weights):
        judged += _accuracy(config, scores, samples, weights)
        judged += _fidelity(config, scores)
        if config.gates.batch_invariance.enabled:
            judged += gates.batch_invariance_gates(
                compared.outputs if compared else None,
                compared.other_batch if compared else None,
                config.gates.batch_invariance.cosine,
            )
    timing = artifacts.get("benchmark")
    if isinstance(timing, Timing):
        judged += _throughput(config, performance.summarise(timing))
    return judged


def _accuracy(config: RunConfig, scores: Scores, samples: Samples, weights: Weights) -> list[Gate]:
    if not config.gates.accuracy.enabled:
        return []
    stand_in = ["random weights"] if weights.origin == "random" else []
    stand_in += [samples.stand_in] if samples.stand_in else []
    nearest = nearest_published(config.model, config.soc.name, config.batch.size)
    return gates.accuracy_gates(scores, nearest, config.gates.accuracy.tolerance, stand_in, samples.note or "")


def _fidelity(config: RunConfig, scores: Scores) -> list[Gate]:
    if not config.gates.fidelity.enabled:
        return []
    asked = config.model.fidelity
    source = f"conf/model: {config.model.name}, fidelity"
    return gates.fidelity_gates(scores.fidelity, asked.cosine, asked.top1_agreement, source)


def _throughput(config: RunConfig, measured: dict[str, Any]) -> list[Gate]:
    rows = [row for row in config.model.published if (row.soc, row.batch) == (config.soc.name, config.batch.size)]
    option = config.gates.throughput
    return gates.throughput_gates(
        measured["samples_per_second"],
        measured["valid"],
        _published(config.model, rows[0]) if rows else None,
        option.enabled,
        option.tolerance,
    )


def nearest_published(model: ModelConfig, soc: str, batch: int) -> Published | None:
    """The row with accuracies nearest to the run: same SoC and batch, else same SoC, else same batch, else any."""
    rows = [row for row in model.published if row.accuracy]
    return _published(model, min(rows, key=lambda row: (row.soc != soc, row.batch != batch))) if rows else None


def _published(model: ModelConfig, row: PublishedConfig) -> Published:
    by = f" (with {model.guide.tool})" if model.guide.tool else ""
    return Published(dict(row.accuracy), row.samples_per_second, row.source + by)


def _weights(weights: Weights) -> dict[str, Any]:
    return {"origin": weights.origin, "path": str(weights.path), "sha256": weights.sha256}


def _paths(artifacts: dict[str, Artifact]) -> dict[str, str | None]:
    def path(*stages: str) -> str | None:
        for stage in stages:
            artifact = artifacts.get(stage)
            if isinstance(artifact, (Weights, OnnxModel, CompiledModel, Samples, Predictions)):
                return str(artifact.path)
        return None

    return {
        "weights": path("weights"),
        "onnx": path("simplify", "export"),
        "compiled": path("compile"),
        "samples": path("prepare"),
        "predictions": path("infer"),
    }


def _tool_version(config: RunConfig) -> str:
    return slices.tool_of(config)[1].version()

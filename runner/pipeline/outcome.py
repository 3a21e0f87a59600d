"""Build the result of a run from its stages: figures, gates and paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TypeVar

from runner.config import hooks
from runner.config.schema import ModelConfig, PublishedConfig, in_language
from runner.core import (
    Artifact,
    BatchComparison,
    Command,
    CompiledModel,
    OnnxModel,
    Placement,
    Predictions,
    RunnerError,
    Samples,
    Scores,
    Timing,
    Weights,
    environment,
    now,
)
from runner.measure import distribution, mean_ms, samples_per_second, settled_ms
from runner.pipeline.setup import Setup
from runner.results import (
    Environment,
    Failure,
    Gate,
    Latency,
    Meaning,
    Performance,
    Result,
    StageRecord,
    UsedArtifacts,
    UsedWeights,
    WorstFidelity,
    gates,
    result,
)
from runner.results.gates import Published
from runner.stages import order

Artifacts = Mapping[str, Artifact]
"""Artifacts by stage name."""
INCLUDES_COPIES = "latencies include the copies between host and device, which the published ones leave out"
T = TypeVar("T", bound=Artifact)


def build(
    setup: Setup,
    records: Sequence[StageRecord],
    artifacts: Artifacts,
    commands: Sequence[Command],
    failure: Failure | None,
    overrides: Sequence[str] = (),
) -> Result:
    """Build the result of a run that was started with these overrides; what it did not reach is None."""
    config = setup.config
    scores, timing = _made(artifacts, "score", Scores), _made(artifacts, "benchmark", Timing)
    weights, samples = _made(artifacts, "weights", Weights), _made(artifacts, "prepare", Samples)
    return Result(
        created=now(),
        status="failed" if failure else "ok",
        overrides=tuple(overrides),
        model=config.model.name,
        soc=config.soc.name,
        tool=config.tool.name,
        batch=config.batch.size,
        dataset=config.dataset.name,
        limit=config.limit,
        stand_in=samples.substitute if samples else None,
        weights=UsedWeights(weights.origin, str(weights.path), weights.sha256) if weights else None,
        accuracy={**scores.accuracy, "samples": scores.samples} if scores else None,
        metrics={name: Meaning(**asdict(each)) for name, each in scores.figures.items()} if scores else {},
        fidelity=_closeness(setup, scores) if scores else None,
        performance=_performance(setup, timing, _made(artifacts, "compile", CompiledModel)) if timing else None,
        gates=tuple(judge(setup, artifacts)),
        artifacts=_paths(artifacts),
        stages=tuple(records),
        commands=tuple(commands),
        environment=Environment(**environment.describe({config.tool.name: _tool_version(setup)})),
        error=failure,
    )


def _closeness(setup: Setup, scores: Scores) -> WorstFidelity:
    reference = result.OUTSIDE if setup.is_outside else result.PYTORCH
    return result.worst(scores.fidelity, scores.compared, reference)


def refused(failure: Failure, overrides: Sequence[str] = ()) -> Result:
    """Return the result of a run whose configuration was rejected."""
    return Result(created=now(), status="failed", overrides=tuple(overrides), error=failure)


def _performance(setup: Setup, timing: Timing, model: CompiledModel | None) -> Performance:
    measured = performance(timing, setup.placement)
    return replace(measured, gears=model.served if model else (), includes_copies=_includes_copies(setup))


def _includes_copies(setup: Setup) -> bool:
    return setup.placement.kind != "cpu" and setup.tool.measuring().includes_copies


def performance(timing: Timing, placement: Placement) -> Performance:
    """Return the figures of a measurement on the devices of a placement; what the tool does not report is None.

    Raises:
        ToolError: the tool reported no latency.
    """
    latencies_ms = settled_ms(timing)
    return Performance(
        batch=timing.batch,
        samples_per_second=samples_per_second(timing),
        latency_ms=Latency(mean=mean_ms(timing), **distribution(latencies_ms)),
        iterations=len(latencies_ms) or timing.iterations,
        warmup=timing.warmup + timing.settled_after,
        load_ms=timing.load_ms,
        first_call_ms=timing.first_call_ms,
        peak_rss_mib=None if timing.peak_rss_bytes is None else timing.peak_rss_bytes / 2**20,
        valid=not timing.reasons,
        reasons=timing.reasons,
        source=timing.source,
        measured_at=timing.measured_at,
        devices=tuple(f"{placement.soc} device {each}" for each in placement.devices if placement.kind != "cpu"),
        chips=placement.chips,
        operators=timing.operators,
    )


def judge(setup: Setup, artifacts: Artifacts) -> list[Gate]:
    """Return the gates that can be judged from what the run has reached."""
    scores, timing = _made(artifacts, "score", Scores), _made(artifacts, "benchmark", Timing)
    weights, samples = _made(artifacts, "weights", Weights), _made(artifacts, "prepare", Samples)
    comparison = _made(artifacts, order.INVARIANCE, BatchComparison)
    config, options = setup.config, setup.config.gates
    judged: list[Gate] = []
    if scores and samples and weights:
        if options.accuracy.enabled:
            judged += _accuracy(setup, scores, samples, weights)
        if options.fidelity.enabled:
            judged += _fidelity(setup, scores)
        if options.batch_invariance.enabled:
            judged += gates.batch_invariance_gates(
                comparison, options.batch_invariance.cosine, in_language(config.model.batch_dependent)
            )
    if timing:
        judged += _throughput(setup, timing, _made(artifacts, "compile", CompiledModel))
    return judged


def _made(artifacts: Artifacts, stage: str, kind: type[T]) -> T | None:
    """Return the artifact of a stage, if it was reached."""
    artifact = artifacts.get(stage)
    return artifact if isinstance(artifact, kind) else None


def _accuracy(setup: Setup, scores: Scores, samples: Samples, weights: Weights) -> list[Gate]:
    config = setup.config
    substitutes = ["random weights"] if weights.origin == "random" else []
    substitutes += [samples.substitute] if samples.substitute else []
    nearest = nearest_published(config.model, config.soc.name, config.batch.size)
    tolerance = config.gates.accuracy.tolerance
    return gates.accuracy_gates(scores, nearest, tolerance, substitutes, samples.note or "", config.limit)


def _fidelity(setup: Setup, scores: Scores) -> list[Gate]:
    model = setup.config.model
    source = f"conf/model: {model.name}, fidelity"
    required = model.fidelity
    return gates.fidelity_gates(scores.fidelity, required.cosine, required.equal, required.top1_agreement, source)


def _throughput(setup: Setup, timing: Timing, model: CompiledModel | None) -> list[Gate]:
    config = setup.config
    here = (config.soc.name, config.batch.size)
    row = next((row for row in config.model.published if (row.soc, row.batch) == here), None)
    judged = gates.throughput_gates(
        samples_per_second(timing),
        not timing.reasons,
        _published(config.model, row) if row else None,
        config.gates.throughput.enabled,
        config.gates.throughput.tolerance,
    )
    if _includes_copies(setup):
        return [Gate(name=gate.name, measured=gate.measured, verdict="skip", reason=INCLUDES_COPIES) for gate in judged]
    if model and model.served:
        note = f"one model for {', '.join(model.served)}; published figures are of one for each"
        return [replace(gate, reason="; ".join(filter(None, [gate.reason, note]))) for gate in judged]
    return judged


def nearest_published(model: ModelConfig, soc: str, batch: int) -> Published | None:
    """Return the published row nearest to the run: same SoC and batch, else same SoC, else same batch, else any."""
    rows = [row for row in model.published if row.accuracy]
    if not rows:
        return None
    nearest = min(rows, key=lambda row: (row.soc != soc, row.batch != batch))
    elsewhere = "" if (nearest.soc, nearest.batch) == (soc, batch) else f"{nearest.soc}, batch {nearest.batch}"
    return replace(_published(model, nearest), measured_on=elsewhere)


def _published(model: ModelConfig, row: PublishedConfig) -> Published:
    by = f" (with {model.guide.tool})" if model.guide.tool else ""
    return Published(dict(row.accuracy), row.samples_per_second, row.source + by, misprint=row.misprint)


def _tool_version(setup: Setup) -> str:
    try:
        with hooks.watched():
            return setup.tool.version()
    except RunnerError:  # the same error has ended the run and is in its result
        return ""


def _paths(artifacts: Artifacts) -> UsedArtifacts:
    def path(*stages: str) -> str | None:
        for stage in stages:
            artifact = artifacts.get(stage)
            if isinstance(artifact, (Weights, OnnxModel, CompiledModel, Samples, Predictions)):
                return str(artifact.path)
        return None

    return UsedArtifacts(
        weights=path("weights"),
        onnx=path("simplify", "export"),
        compiled=path("compile"),
        samples=path("prepare"),
        predictions=path("infer"),
    )

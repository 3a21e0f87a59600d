"""RunConfig -> Plan: the stages, what each works from, and their keys. Pure: no I/O but hashing files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from runner import environment, slices, targets
from runner.artifacts import (
    Artifact,
    CompiledModel,
    OnnxModel,
    Predictions,
    Samples,
    Scores,
    Timing,
    Weights,
)
from runner.datasets import HashFiles
from runner.networks import NetworkSpec
from runner.preprocess import Normalisation
from runner.schema import RunConfig
from runner.slices import DataSource
from runner.stages.benchmark import BenchmarkSpec
from runner.stages.compile import CompileSpec
from runner.stages.export import ExportSpec
from runner.stages.infer import InferSpec
from runner.stages.prepare import PrepareSpec
from runner.stages.reference import ReferenceSpec
from runner.stages.score import ScoreSpec
from runner.stages.simplify import SimplifySpec
from runner.targets import Target

NEEDS: dict[str, tuple[str, ...]] = {
    "weights": (),
    "export": ("weights",),
    "simplify": ("export",),
    "compile": ("simplify",),
    "prepare": (),  # and weights, where the network itself plays
    "infer": ("compile", "prepare"),
    "reference": ("weights", "prepare"),
    "score": ("infer", "reference", "prepare"),
    "benchmark": ("compile",),
}
"""The stages in the order in which they run, and whose artifacts each takes."""
STAGES = tuple(NEEDS)


@dataclass(frozen=True)
class Stage:
    """One step: runner.stages.<name>.<name>(spec, *artifacts of `needs`, out) makes an artifact of `kind`.

    `hooks` are the modules of the callables that the configuration names, `packages` the distributions that the step
    calls: their source and versions are part of its key; the arguments named in `neutral`, of the tool or the compiler
    in its spec, are not. A step that is not `stored` costs nothing and makes nothing.
    """

    name: str
    kind: type[Artifact]
    spec: Any
    needs: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    neutral: tuple[str, ...] = ()
    stored: bool = True
    resumes: bool = False


@dataclass(frozen=True)
class Plan:
    stages: tuple[Stage, ...]

    def wanted(self, names: Sequence[str] | None) -> set[str]:
        """The stages to go through: those named, and whatever they need."""
        return with_needs(names, {stage.name: stage.needs for stage in self.stages})


def with_needs(names: Sequence[str] | None, needs: Mapping[str, tuple[str, ...]] = NEEDS) -> set[str]:
    """The stages named and whatever they need; all for None."""
    wanted = set(needs if names is None else names)
    for name in reversed(tuple(needs)):
        if name in wanted:
            wanted |= set(needs[name])
    return wanted


def needs(config: RunConfig) -> dict[str, tuple[str, ...]]:
    """NEEDS as the options make it: a benchmark on real inputs takes the samples too."""
    real = config.benchmark.input == "real"
    return NEEDS | ({"benchmark": (*NEEDS["benchmark"], "prepare")} if real else {})


def key(stage: Stage, inputs: Mapping[str, Artifact]) -> str:
    """What a stage's result depends on: its spec, the content of its inputs, versions and sources; 32 hex digits."""
    described = {
        "stage": stage.name,
        "spec": _without(stage.neutral, msgspec.to_builtins(stage.spec, enc_hook=str)),
        "inputs": {name: artifact.identity for name, artifact in inputs.items()},
        "packages": {name: environment.package_version(name) for name in stage.packages},
        "code": [targets.source_digest(f"runner.stages.{stage.name}"), *map(targets.source_digest, stage.hooks)],
    }
    encoded = msgspec.json.encode(described, order="deterministic", enc_hook=str)
    return hashlib.sha256(encoded).hexdigest()[:32]


def _without(neutral: tuple[str, ...], spec: dict[str, Any]) -> dict[str, Any]:
    for part in ("tool", "compiler"):
        called = spec.get(part)
        if called is not None:
            called["arguments"] = {name: value for name, value in called["arguments"].items() if name not in neutral}
    return spec


def plan(config: RunConfig, source: DataSource, hash_files: HashFiles) -> Plan:
    """Lay out the run; the stages stand in the order in which they are run.

    Raises:
        ConfigError: a value that no stage could be made from.
    """
    network = slices.network_spec(config.model)
    normalisation = slices.normalisation_of(config.model.preprocess)
    return Plan(
        (
            _weights(config, network, hash_files),
            _export(config, network),
            _simplify(config),
            _compile(config, normalisation),
            _prepare(source, network, normalisation, hash_files),
            _infer(config, normalisation),
            _reference(config, network, normalisation),
            _score(config),
            _benchmark(config, normalisation),
        )
    )


def _weights(config: RunConfig, network: NetworkSpec, hash_files: HashFiles) -> Stage:
    made_up = config.weights == "random"
    return Stage(
        "weights",
        Weights,
        slices.weights_spec(config, network, hash_files),
        resumes=True,
        hooks=_network_modules(network) if made_up else (),
        packages=("torch",) if made_up else (),
    )


def _export(config: RunConfig, network: NetworkSpec) -> Stage:
    export = config.model.export
    batch = config.batch.size if export.fixed_batch else None
    return Stage(
        "export",
        OnnxModel,
        ExportSpec(network, tuple(config.model.outputs), export.opset, batch),
        needs=NEEDS["export"],
        hooks=_network_modules(network),
        packages=("torch", "onnx"),
    )


def _simplify(config: RunConfig) -> Stage:
    model = config.model
    batch = slices.simplified_batch(model, config.batch.size)
    return Stage(
        "simplify",
        OnnxModel,
        SimplifySpec(model.simplify.enabled, batch, tuple(model.surgery)),
        needs=NEEDS["simplify"],
        stored=model.simplify.enabled or bool(model.surgery),
        hooks=tuple(name.rpartition(".")[0] for name in model.surgery),
        packages=("onnx", "onnxsim"),
    )


def _reference(config: RunConfig, network: NetworkSpec, normalisation: Normalisation) -> Stage:
    outputs = tuple(config.model.outputs)
    return Stage(
        "reference",
        Predictions,
        ReferenceSpec(network, outputs, normalisation, slices.reference_samples(config)),
        needs=NEEDS["reference"],
        hooks=_network_modules(network),
        packages=("torch", "numpy"),
    )


def _prepare(source: DataSource, network: NetworkSpec, normalisation: Normalisation, hash_files: HashFiles) -> Stage:
    reader, request = source.reader, source.request
    content = None if reader.faults(request) else reader.content(request, hash_files)
    if not reader.needs_policy:
        spec = PrepareSpec(source.target, request, content, None, None)
        return Stage(
            "prepare", Samples, spec, hooks=_modules(source.target), packages=("numpy", "pillow"), resumes=True
        )
    return Stage(
        "prepare",
        Samples,
        PrepareSpec(source.target, request, content, network, normalisation),
        needs=("weights",),
        hooks=(*_modules(source.target), *_network_modules(network)),
        packages=("numpy", "torch", "gymnasium", "ale-py", "opencv-python-headless"),
    )


def _compile(config: RunConfig, normalisation: Normalisation) -> Stage:
    placement = slices.placement_of(config)
    found = slices.compiler_of(config)
    if found is None:
        spec = CompileSpec(None, "", placement, config.batch.size, {}, None)
        return Stage("compile", CompiledModel, spec, needs=NEEDS["compile"], stored=False)
    target, compiler = found
    aipp = normalisation if config.model.aipp else None
    # Which of a host's cards it is does not matter to a compiler.
    spec = CompileSpec(
        target,
        compiler.version(),
        replace(placement, devices=()),
        config.batch.size,
        slices.compiler_flags(config),
        aipp,
    )
    return Stage(
        "compile", CompiledModel, spec, needs=NEEDS["compile"], hooks=_modules(target), neutral=compiler.neutral()
    )


def _infer(config: RunConfig, normalisation: Normalisation) -> Stage:
    target, tool = slices.tool_of(config)
    taken = None if config.model.aipp else normalisation
    spec = InferSpec(target, tool.version(), slices.placement_of(config), config.batch.size, taken)
    return Stage(
        "infer",
        Predictions,
        spec,
        needs=NEEDS["infer"],
        hooks=_modules(target),
        packages=("numpy",),
        neutral=tool.neutral("infer"),
    )


def _score(config: RunConfig) -> Stage:
    metrics = {name: targets.parse(node, f"dataset.metrics.{name}") for name, node in config.dataset.metrics.items()}
    return Stage(
        "score",
        Scores,
        ScoreSpec(config.model.outputs[0], config.dataset.scored_against, metrics),
        needs=NEEDS["score"],
        hooks=tuple(m for t in metrics.values() for m in _modules(t)),
        packages=("numpy",),
    )


def _benchmark(config: RunConfig, normalisation: Normalisation) -> Stage:
    target, tool = slices.tool_of(config)
    normalised = config.benchmark.input == "real" and not config.model.aipp
    spec = BenchmarkSpec(
        target,
        tool.version(),
        slices.placement_of(config),
        slices.measuring_limits(config),
        environment.machine(),
        normalisation if normalised else None,
        config.benchmark.isolate,
    )
    return Stage(
        "benchmark",
        Timing,
        spec,
        needs=needs(config)["benchmark"],
        hooks=_modules(target),
        packages=("numpy",),
        neutral=tool.neutral("benchmark"),
    )


def _modules(target: Target) -> tuple[str, ...]:
    return (target.name.rpartition(".")[0],)


def _network_modules(network: NetworkSpec) -> tuple[str, ...]:
    called = [target for target in (network.target, network.layout.settings, network.layout.adapt) if target]
    modules = [module for target in called for module in _modules(target)]
    # What of ours builds a network may call a library for it, whose version then counts too.
    return tuple(dict.fromkeys([*modules, *(name for module in modules for name in targets.libraries_of(module))]))

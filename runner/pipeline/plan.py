"""Build the plan of a setup: the stages, their inputs and their cache keys' ingredients. Only hashes files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.config import callables
from runner.config.callables import Target
from runner.config.schema import ModelConfig
from runner.core import CompiledModel, OnnxModel, Predictions, Samples, Scores, Timing, Weights, environment, modules
from runner.data import HashFiles
from runner.graph import external_data
from runner.networks import NetworkSpec
from runner.pipeline.keys import COUNTED, Stage
from runner.pipeline.setup import Setup
from runner.stages import order
from runner.stages.benchmark import BenchmarkSpec
from runner.stages.compile import CompileSpec
from runner.stages.export import ExportSpec
from runner.stages.import_onnx import ImportSpec
from runner.stages.infer import InferSpec
from runner.stages.play import PlaySpec
from runner.stages.prepare import PrepareSpec
from runner.stages.random_weights import RandomWeightsSpec
from runner.stages.reference import ComputedSpec, ReferenceSpec
from runner.stages.score import ScoreSpec
from runner.stages.simplify import SimplifySpec
from runner.stages.weights import FileSpec, UrlSpec
from runner.tasks import TASKS


@dataclass(frozen=True)
class Plan:
    """The stages in execution order, and what each needs."""

    stages: tuple[Stage, ...]

    def wanted(self, names: Sequence[str] | None) -> set[str]:
        """Return the stages to run: those named, and all that they need."""
        return order.wanted(names, {**order.NEEDS, **{stage.name: stage.needs for stage in self.stages}})


def plan(setup: Setup, hash_files: HashFiles) -> Plan:
    """Plan a run, with the stages in execution order.

    Raises:
        ConfigError: a value from which no stage can be built.
    """
    compiling, preparing = _compile(setup), prepare(setup, hash_files)
    middle = (preparing, compiling) if preparing.name in compiling.needs else (compiling, preparing)
    return Plan(
        (
            _weights(setup, hash_files),
            export(setup),
            _simplify(setup),
            *middle,
            _infer(setup),
            _reference(setup),
            _score(setup),
            _benchmark(setup),
        )
    )


def _weights(setup: Setup, hash_files: HashFiles) -> Stage:
    origin, path = setup.weights
    published = setup.published
    if origin == "random":
        return Stage(
            name="weights",
            needs=setup.needs["weights"],
            function="random_weights",
            kind=Weights,
            spec=RandomWeightsSpec(setup.network, setup.config.seed),
            hooks=_network_hooks(setup.network),
            packages=("torch",),
        )
    spec: FileSpec | UrlSpec
    if path is not None:
        spec = FileSpec(path, weights_digest(setup, path, hash_files) if path.is_file() else None, setup.is_outside)
    else:
        spec = UrlSpec(
            published.url or "",
            published.file,
            published.sha256,
            published.size_bytes,
            setup.config.mirror,
            setup.is_outside,
        )
    return Stage(
        name="weights",
        needs=setup.needs["weights"],
        kind=Weights,
        spec=spec,
        excluded_from_key=("mirror",),
        resumes=True,
    )


def weights_digest(setup: Setup, path: Path, hash_files: HashFiles) -> str:
    """Return the SHA-256 of the weights' file; of an ONNX model from outside, with the files beside it.

    Raises:
        ExportError: a file with weights of the ONNX model is not usable.
    """
    if setup.is_outside:
        return external_data.digest(path, hash_files)
    return hash_files(path.parent, [Path(path.name)])[0]


def export(setup: Setup) -> Stage:
    options = setup.config.model.export
    batch = setup.config.batch.size if options.fixed_batch else None
    if setup.is_outside:
        return Stage(
            name="export",
            needs=setup.needs["export"],
            function="import_onnx",
            kind=OnnxModel,
            spec=ImportSpec(setup.inputs, setup.outputs, batch),
            packages=("onnx", "onnxruntime"),
        )
    return Stage(
        name="export",
        needs=setup.needs["export"],
        kind=OnnxModel,
        spec=ExportSpec(setup.network, setup.outputs, options.opset, batch),
        hooks=_network_hooks(setup.network),
        packages=("torch", "onnx"),
    )


def _simplify(setup: Setup) -> Stage:
    model = setup.config.model
    return Stage(
        name="simplify",
        needs=setup.needs["simplify"],
        kind=OnnxModel,
        spec=SimplifySpec(model.simplify.enabled, setup.onnx_batch, tuple(model.surgery)),
        stored=model.simplify.enabled or bool(model.surgery),
        hooks=tuple(model.surgery),
        packages=("onnx", "onnxsim"),
    )


def _compile(setup: Setup) -> Stage:
    if setup.compiled_elsewhere is not None:
        return Stage(
            name="compile",
            needs=setup.needs["compile"],
            function="compiled_elsewhere",
            kind=CompiledModel,
            spec=setup.compiled_elsewhere,
            stored=False,
        )
    compiler, target = setup.compiler, setup.compiler_target
    spec = CompileSpec(
        compiler=target,
        compiler_version=compiler.version() if compiler else "",
        # The result of a compiler does not depend on which of the host's cards is used.
        placement=replace(setup.placement, devices=()),
        batch=setup.compiled_batch,
        flags=setup.compiler_flags if compiler else {},
        aipp=setup.aipp if compiler else None,
        batches=setup.batches,
        is_range=setup.is_range,
    )
    if compiler is None or target is None:
        return Stage(name="compile", needs=setup.needs["compile"], kind=CompiledModel, spec=spec, stored=False)
    return Stage(
        name="compile",
        needs=setup.needs["compile"],
        kind=CompiledModel,
        spec=spec,
        hooks=(target.name,),
        excluded_from_key=compiler.excluded_from_key(),
    )


def prepare(setup: Setup, hash_files: HashFiles) -> Stage:
    """Return the stage that prepares the samples."""
    reader, target, request = setup.reader, setup.reader_target, setup.request
    if reader.needs_policy:
        return Stage(
            name="prepare",
            needs=setup.needs["prepare"],
            function="play",
            kind=Samples,
            spec=PlaySpec(target, request, setup.network, setup.normalisation),
            hooks=(target.name, *_network_hooks(setup.network)),
            packages=("numpy", "torch", "gymnasium", "ale-py", "opencv-python-headless"),
        )
    content = None if setup.reader_problems else reader.content(request, hash_files)
    return Stage(
        name="prepare",
        needs=setup.needs["prepare"],
        kind=Samples,
        spec=PrepareSpec(target, request, content),
        hooks=(target.name,),
        packages=("numpy", "pillow", "opencv-python-headless"),
        resumes=True,
    )


def _infer(setup: Setup) -> Stage:
    results = setup.stored_results
    return Stage(
        name="infer",
        needs=setup.needs["infer"],
        kind=Predictions,
        spec=InferSpec(
            tool=setup.tool_target,
            tool_version=setup.tool.version(),
            placement=setup.placement,
            batch=setup.config.batch.size,
            normalisation=setup.host_normalisation,
            results=results,
        ),
        hooks=(setup.tool_target.name, *([results.decode.name] if results else [])),
        packages=("numpy",),
        excluded_from_key=setup.tool.excluded_from_key("infer"),
    )


def _reference(setup: Setup) -> Stage:
    computed: dict[str, Any] = {
        "outputs": setup.outputs,
        "normalisation": setup.normalisation,
        "samples": setup.reference_samples,
        "batch": setup.reference_batch,
    }
    if setup.is_outside:
        return Stage(
            name="reference",
            needs=setup.needs["reference"],
            function="onnx_reference",
            kind=Predictions,
            spec=ComputedSpec(**computed),
            packages=("onnxruntime", "numpy"),
        )
    return Stage(
        name="reference",
        needs=setup.needs["reference"],
        kind=Predictions,
        spec=ReferenceSpec(network=setup.network, **computed),
        hooks=_network_hooks(setup.network),
        packages=("torch", "numpy"),
    )


def _score(setup: Setup) -> Stage:
    called: list[Target] = [*setup.metrics.values(), *([setup.decode] if setup.decode else [])]
    return Stage(
        name="score",
        needs=setup.needs["score"],
        kind=Scores,
        spec=ScoreSpec(setup.decode, setup.scored_against, setup.metrics, _classifies(setup.config.model)),
        hooks=tuple(target.name for target in called),
        packages=("numpy",),
    )


def _classifies(model: ModelConfig) -> bool:
    task = TASKS.get(model.task)
    return model.fidelity.top1_agreement is not None or (task is not None and task.classifies)


def _benchmark(setup: Setup) -> Stage:
    options, placement = setup.config.benchmark, setup.placement
    return Stage(
        name="benchmark",
        needs=setup.needs["benchmark"],
        kind=Timing,
        spec=BenchmarkSpec(
            tool=setup.tool_target,
            tool_version=setup.tool.version(),
            placement=placement,
            limits=setup.limits,
            machine=environment.machine(),
            normalisation=setup.host_normalisation if options.input == "real" else None,
            real_inputs=options.input == "real",
            isolate=options.isolate,
            profile=options.profile,
            batch=setup.config.batch.size if setup.batches else None,
        ),
        hooks=(setup.tool_target.name,),
        packages=("numpy",),
        excluded_from_key=setup.tool.excluded_from_key("benchmark"),
        announcement=f"benchmark: measures batch {setup.config.batch.size} on {placement.soc}, "
        f"at most {options.max_seconds:g} s",
    )


def _network_hooks(network: NetworkSpec) -> tuple[str, ...]:
    hooks = (network.target, network.layout.settings, network.layout.adapt)
    called = [each.name for target in hooks if target for each in callables.with_nested(target)]
    # A builder of the runner may call a library, whose version is then part of the key.
    libraries = [library for name in called for library in modules.libraries_of(name, COUNTED)]
    return tuple(dict.fromkeys([*called, *libraries]))

"""The steps of a run, from PyTorch to the compiled model, on one batch of inputs, with artifacts from the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.config.schema import RunConfig
from runner.core import Artifact, CompiledModel, ConfigError, ExportError, OnnxModel, Samples, Weights, process
from runner.core.lazy import NDArray, onnx, torch
from runner.data import Batch, batches
from runner.debug import inputs, runtimes
from runner.debug.closeness import CosineFloor, Limit, Tolerance
from runner.debug.inputs import Inputs
from runner.debug.runtimes import Model
from runner.networks import build_network, named_outputs
from runner.pipeline import preflight
from runner.pipeline.execute import Run
from runner.pipeline.plan import Plan
from runner.pipeline.setup import Setup, open_store
from runner.stages import simplify
from runner.stages.export import ExportSpec
from runner.stages.simplify import SimplifySpec
from runner.tools import command_line, using_devices

COMPARED = ("export", "simplify", "compile")
"""The stages whose models are compared."""


@dataclass(frozen=True)
class Step:
    """The outputs of one step. `by` says what computed them, `limit` how close they must be to the step before.

    `model` is the ONNX model whose layers can be compared; None if there is none.
    """

    name: str
    by: str
    outputs: Mapping[str, NDArray[Any]]
    limit: Limit
    model: Model | None = None


class Steps:
    """The steps of one configuration up to the last of its `stages`; an ONNX file from outside begins with `export`.

    `folder` gets logs and models that are not stored; `work` is a temporary folder that the steps' models need.

    Raises:
        ConfigError: `stages` names a stage whose results are not compared, or there is one step only.
    """

    def __init__(self, config: RunConfig, folder: Path, work: Path, source: str, tolerance: Tolerance) -> None:
        self.config = replace(config, stages=None)
        self.setup = Setup(self.config)
        self.folder = folder
        self.work = work
        self.source = source
        self.tolerance = tolerance
        self._last = _last_of(config)
        if self._last == "export" and self.setup.is_outside:
            raise ConfigError(
                f"stages is {config.stages}, and model={config.model.name} is an ONNX file from outside: there is no"
                " PyTorch network to compare the exported model with",
                "name simplify or compile, or compare two files with --onnx",
            )
        self._run = Run(self.setup, open_store(config), folder)

    def inputs(self) -> Inputs:
        """Make the artifacts that every step needs, and return one batch of inputs.

        Raises:
            PreflightError: all known problems of the configuration. RunnerError: a stage fails.
        """
        compiles_for_samples = self._last == "compile" and "prepare" in self.setup.needs["compile"]
        real = ["prepare"] if self.source == inputs.REAL or compiles_for_samples else []
        checked = Setup(replace(self.config, stages=[self._last, *real]))
        with process.logging_to(self.folder):
            self._plan = preflight.checked_plan(checked, self._run.store)
        self._make("weights", "export", *real)
        batch = self.config.batch.size
        samples, tensors = self._run.artifacts.get("prepare"), self.setup.inputs
        if isinstance(samples, Samples):
            if self.source == inputs.REAL:
                return inputs.of_samples(samples, self.setup.normalisation, batch, self.setup.aipp is not None)
            first = next(batches.shapes_of(samples))
            tensors = tuple(tensor.at(shape) for tensor, shape in zip(tensors, first, strict=True))
        return inputs.of_model(tensors, batch, self.source, self.setup.aipp)

    def each(self, given: Inputs) -> Iterator[Step]:
        """Yield PyTorch (unless the model is from outside), the exported, the simplified and the compiled model.

        If the simplification fails its own check, its rewrites are yielded one by one before the error is raised.

        Raises:
            RunnerError: a stage, a runtime or a tool fails.
        """
        if not self.setup.is_outside:
            yield self._pytorch(given)
        yield self._onnx("export", self._onnx_artifact("export").path, given)
        if self._last == "export":
            return
        try:
            self._make("simplify")
        except ExportError:
            yield from self._rewrites_of_simplify(given)
            raise
        simplified = self._onnx_artifact("simplify")
        if simplified != self._onnx_artifact("export"):
            yield self._onnx("simplify", simplified.path, given)
        if self._last == "compile":
            self._make("compile")
            yield self._compiled(given)

    def _make(self, *names: str) -> None:
        self._run.go(Plan(tuple(stage for stage in self._plan.stages if stage.name in names)))

    def _artifact(self, name: str) -> Artifact:
        return self._run.artifacts[name]

    def _onnx_artifact(self, name: str) -> OnnxModel:
        artifact = self._artifact(name)
        assert isinstance(artifact, OnnxModel)
        return artifact

    def _pytorch(self, given: Inputs) -> Step:
        spec = self._spec("export")
        weights = self._artifact("weights")
        assert isinstance(spec, ExportSpec) and isinstance(weights, Weights)
        network = build_network(spec.network, weights)
        with torch.no_grad():
            result = network(*(torch.from_numpy(given.network[tensor.name]) for tensor in spec.network.inputs))
        outputs = {name: tensor.numpy() for name, tensor in named_outputs(result, spec.outputs).items()}
        return Step("pytorch", "PyTorch, float32", outputs, self.tolerance)

    def _onnx(self, name: str, path: Path, given: Inputs) -> Step:
        model = runtimes.open_model(path, runtimes.UNOPTIMISED, self.work)
        by = runtimes.RUNTIMES[runtimes.UNOPTIMISED]
        return Step(name, by, model.outputs(given.network), self.tolerance, model)

    def _rewrites_of_simplify(self, given: Inputs) -> Iterator[Step]:
        spec = self._spec("simplify")
        assert isinstance(spec, SimplifySpec)
        for author, changed in simplify.rewrites(spec, self._onnx_artifact("export")):
            path = self.folder / f"{author}.onnx"
            onnx.save(changed, path)
            yield self._onnx(f"simplify: {author}", path, given)

    def _compiled(self, given: Inputs) -> Step:
        model = self._artifact("compile")
        assert isinstance(model, CompiledModel)
        tool = self.setup.tool
        work = command_line.new_folder(self.work / "infer")
        ids = tuple(f"sample{index}" for index in range(model.batch))
        placement = self.setup.placement
        at_shapes = model
        if any(tensor.is_free for tensor in model.inputs):
            at_shapes = model.at([array.shape[1:] for array in given.compiled.values()])
        with process.logging_to(self.folder), using_devices(tool, placement, "runner.debug", is_shared=True):
            (outputs,) = tool.infer(at_shapes, placement, iter([Batch(ids, given.compiled)]), work)
        by = f"{tool.version()} on {model.soc}"
        if self.config.soc.kind != "cpu" or model.path != self._onnx_artifact("simplify").path:
            return Step("compile", by, outputs, CosineFloor(self.config.model.fidelity.cosine))
        visible = runtimes.open_model(model.path, runtimes.OPTIMISED, self.work)
        return Step("compile", by, outputs, self.tolerance, visible)

    def _spec(self, name: str) -> Any:
        return next(stage.spec for stage in self._plan.stages if stage.name == name)


def _last_of(config: RunConfig) -> str:
    named = COMPARED if config.stages is None else config.stages
    if not named or not set(named) <= set(COMPARED):
        raise ConfigError(f"stages is {config.stages}", f"compared are {', '.join(COMPARED)}: name the last, or none")
    return max(named, key=COMPARED.index)

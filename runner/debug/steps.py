"""The steps of a run, from PyTorch to the compiled model, on one batch of inputs; its artifacts come from the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from runner import networks, plan, preflight, process, slices
from runner.artifacts import Artifact, CompiledModel, OnnxModel, Samples, Weights
from runner.batches import Batch
from runner.debug import inputs, runtimes
from runner.debug.closeness import CosineFloor, Limit, Tolerance
from runner.debug.inputs import Inputs
from runner.debug.runtimes import Model
from runner.errors import ConfigError, ExportError, PreflightError
from runner.execute import Run
from runner.plan import Plan
from runner.schema import RunConfig
from runner.stages import simplify
from runner.stages.export import ExportSpec
from runner.stages.simplify import SimplifySpec
from runner.store import Store
from runner.tools import command_line

COMPARED = ("export", "simplify", "compile")
"""The stages whose models are compared."""


@dataclass(frozen=True)
class Step:
    """What one step gives. `by` is who computed it; `limit` is how close it must be to the step before.

    `model` is the ONNX model whose layers can be seen; None where they cannot.
    """

    name: str
    by: str
    outputs: Mapping[str, NDArray[Any]]
    limit: Limit
    model: Model | None = None


class Steps:
    """The steps of one configuration up to the last of its `stages`.

    `folder` gets logs and the models that no store keeps; `work` is a folder that the steps' models need.

    Raises:
        ConfigError: `stages` names one whose results are not compared.
    """

    def __init__(self, config: RunConfig, folder: Path, work: Path, source: str, tolerance: Tolerance) -> None:
        self.config = replace(config, stages=None)
        self.folder = folder
        self.work = work
        self.source = source
        self.tolerance = tolerance
        self._last = _last_of(config)
        self._run = Run(self.config, Store(Path(config.cache_dir).expanduser().absolute()), folder)

    def inputs(self) -> Inputs:
        """Make what every step needs, and one batch of inputs.

        Raises:
            PreflightError: everything that is known to be wrong. RunnerError: a stage fails.
        """
        real = ["prepare"] if self.source == inputs.REAL else []
        checked = replace(self.config, stages=[self._last, *real])
        source = slices.data_source(self.config)
        with process.logging_to(self.folder):
            faults = preflight.find_faults(checked, self._run.store, lambda: source)
        if faults:
            raise PreflightError(faults)
        self._plan = plan.plan(self.config, source, self._run.store.hash_files)
        self._make("weights", "export", *real)
        model, batch = self.config.model, self.config.batch.size
        normalisation = slices.normalisation_of(model.preprocess)
        samples = self._run.artifacts.get("prepare")
        if isinstance(samples, Samples):
            return inputs.of_samples(samples, normalisation, batch, model.aipp)
        aipp = normalisation if model.aipp else None
        return inputs.of_model(slices.input_specs(model), batch, self.source, aipp)

    def each(self, given: Inputs) -> Iterator[Step]:
        """PyTorch, the exported, the simplified and the compiled model, in turn.

        A simplification that its own check refuses is given in its parts, and is raised behind them.

        Raises:
            RunnerError: a stage, a runtime or a tool fails.
        """
        yield self._pytorch(given)
        yield self._onnx("export", self._onnx_artifact("export").path, given)
        if self._last == "export":
            return
        try:
            self._make("simplify")
        except ExportError:
            yield from self._parts_of_simplify(given)
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
        import torch

        spec = self._spec("export")
        weights = self._artifact("weights")
        assert isinstance(spec, ExportSpec) and isinstance(weights, Weights)
        network = networks.build(spec.network, weights)
        with torch.no_grad():
            result = network(*(torch.from_numpy(given.network[tensor.name]) for tensor in spec.network.inputs))
        outputs = {name: tensor.numpy() for name, tensor in networks.named_outputs(result, spec.outputs).items()}
        return Step("pytorch", "PyTorch, float32", outputs, self.tolerance)

    def _onnx(self, name: str, path: Path, given: Inputs) -> Step:
        model = runtimes.open_model(path, runtimes.UNOPTIMISED, self.work)
        by = runtimes.RUNTIMES[runtimes.UNOPTIMISED]
        return Step(name, by, model.outputs(given.network), self.tolerance, model)

    def _parts_of_simplify(self, given: Inputs) -> Iterator[Step]:
        spec = self._spec("simplify")
        assert isinstance(spec, SimplifySpec)
        import onnx

        for author, changed in simplify.rewrites(spec, self._onnx_artifact("export")):
            path = self.folder / f"{author}.onnx"
            onnx.save(changed, path)
            yield self._onnx(f"simplify: {author}", path, given)

    def _compiled(self, given: Inputs) -> Step:
        model = self._artifact("compile")
        assert isinstance(model, CompiledModel)
        _, tool = slices.tool_of(self.config)
        work = command_line.new_folder(self.work / "infer")
        ids = tuple(f"sample{index}" for index in range(model.batch))
        placement = slices.placement_of(self.config)
        with process.logging_to(self.folder):
            (outputs,) = tool.infer(model, placement, iter([Batch(ids, given.compiled)]), work)
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

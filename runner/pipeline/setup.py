"""A configuration resolved into objects: the network, the data, the tool, the device and the options.

Each value is resolved on first access, so that an error in one does not hide errors in others.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.config import hooks, targets
from runner.config.callables import Target
from runner.config.schema import CHECKPOINTS, CheckpointConfig, OnnxConfig, RunConfig, in_language
from runner.core import FREE, Command, ConfigError, Origin, Placement, Problem, TensorSpec, at_home
from runner.data import Geometry, Normalisation, Reader, Request
from runner.measure import MeasuringLimits
from runner.networks import CheckpointLayout, NetworkSpec
from runner.stages import order
from runner.stages.compile import as_picture
from runner.stages.compiled_elsewhere import ElsewhereSpec
from runner.stages.infer import ResultsSpec
from runner.store import Store
from runner.tasks import reads_metadata, stores_results
from runner.tools import Compiler, CompileRequest, Measuring, Tool

_RETURNS: dict[str, dict[str, type]] = {
    "dataset.reader": {
        "needs_policy": bool,
        "seeded": bool,
        "has_truth": bool,
        "validate": list[Problem],
        "stored_bytes": int,
    },
    "tool.adapter": {
        "version": str,
        "excluded_from_key": tuple,
        "validate": list[Problem],
        "measuring": Measuring,
        "commands": list[Command],
    },
    "tool.compiler": {"version": str, "excluded_from_key": tuple, "validate": list[Problem], "commands": list},
}
"""Place of a hook -> what those of its methods and properties return that a plan and its checks call."""


@dataclass(frozen=True)
class Setup:
    """The objects that a configuration describes, resolved on first access.

    Raises, on access of any property:
        ConfigError: its values in the configuration are invalid.
    """

    config: RunConfig

    @cached_property
    def network(self) -> NetworkSpec:
        """The network and the layout of its published checkpoint."""
        checkpoint = self.config.model.checkpoint
        settings = checkpoint.settings
        layout = CheckpointLayout(
            unwrap=tuple(checkpoint.unwrap),
            rename=dict(checkpoint.rename),
            drop_background=checkpoint.drop_background,
            settings=targets.parse(settings, "model.checkpoint.settings") if settings else None,
            adapt=targets.parse(checkpoint.adapt, "model.checkpoint.adapt") if checkpoint.adapt else None,
        )
        return NetworkSpec(targets.parse(self.config.model.network, "model.network"), layout, self.inputs)

    @cached_property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The model's declared inputs."""
        return tuple(
            TensorSpec(each.name, each.dtype, tuple(FREE if _is_free(size) else size for size in each.shape))
            for each in self.config.model.inputs
        )

    @property
    def free_inputs(self) -> list[str]:
        """The names of the inputs that have sizes which the samples decide."""
        return [tensor.name for tensor in self.inputs if tensor.is_free]

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """The names of the model's outputs, in order."""
        return tuple(self.config.model.outputs)

    @property
    def onnx_batch(self) -> int | None:
        """The fixed batch size of the ONNX model; None if its batch axis is dynamic."""
        model = self.config.model
        fixed = model.export.fixed_batch or (model.simplify.enabled and model.simplify.fixed_batch)
        return self.config.batch.size if fixed else None

    @property
    def published(self) -> CheckpointConfig | OnnxConfig:
        """The published file: the checkpoint, or the ONNX model from outside."""
        return self.config.model.onnx or self.config.model.checkpoint

    @property
    def is_outside(self) -> bool:
        """Whether the model is an ONNX file from outside and not a network."""
        return self.config.model.onnx is not None

    @cached_property
    def weights(self) -> tuple[Origin, Path | None]:
        """The origin of the weights, and their file if the origin is a file."""
        chosen = self.config.weights
        if chosen == "random":
            if self.is_outside:
                raise ConfigError(
                    f"weights=random, and model={self.config.model.name} is an ONNX file with weights of its own",
                    "leave weights out, or give another file of the same model with weights=PATH",
                )
            return "random", None
        path = self.own_file if chosen == "auto" else at_home(chosen)
        if chosen == "auto" and not path.exists():
            return "url", None
        return "file", path.absolute()

    @cached_property
    def own_file(self) -> Path:
        """Where `weights=auto` looks first: checkpoints/, or the installed package that ships the file."""
        package = self.config.model.onnx.package if self.config.model.onnx else None
        if package is None:
            return CHECKPOINTS / self.published.file
        found = importlib.util.find_spec(package) if package.isidentifier() else None
        folders = found.submodule_search_locations if found else None
        if not folders:
            raise ConfigError(
                f"model.onnx.package is {package!r}, which is not installed",
                in_language(self.published.where) or f"pip install {package}, or give the file with weights=PATH",
            )
        return Path(folders[0]) / self.published.file

    @cached_property
    def reader_target(self) -> Target:
        """The target of the data set's reader."""
        return targets.parse(self.config.dataset.reader, "dataset.reader")

    @cached_property
    def reader(self) -> Reader:
        """The data set's reader; it lists its files once, so it is kept for the run."""
        made: Reader = hooks.made(self.reader_target, _RETURNS["dataset.reader"])
        return made

    @cached_property
    def reader_problems(self) -> list[Problem]:
        """What keeps the reader from its samples; it may look into every label for that, so it is asked once."""
        return self.reader.validate(self.request)

    @cached_property
    def request(self) -> Request:
        """The model's requirements on its samples."""
        seed = self.config.seed if self.reader.seeded else 0
        return Request(self.inputs, self.geometry, self.config.limit, seed)

    @cached_property
    def geometry(self) -> Geometry:
        """The geometric preprocessing, which is done before samples are stored."""
        preprocess = self.config.model.preprocess
        return Geometry(
            interpolation=preprocess.interpolation,
            channels=preprocess.channels,
            fit=preprocess.fit,
            resize=preprocess.resize,
            keep_ratio=preprocess.keep_ratio,
            crop=preprocess.crop,
            size=_height_and_width("size", preprocess.size),
            pad=preprocess.pad,
            pad_value=_bytes(preprocess.pad_value),
            multiple=preprocess.multiple,
            tile=_height_and_width("tile", preprocess.tile),
            overlap=preprocess.overlap,
        )

    @cached_property
    def normalisation(self) -> Normalisation:
        """The normalisation, which is applied as batches are read."""
        preprocess = self.config.model.preprocess
        return Normalisation(preprocess.scale, tuple(preprocess.mean), tuple(preprocess.std))

    @property
    def aipp(self) -> Normalisation | None:
        """The normalisation done on the card, if any: a compiler builds it into the model."""
        return self.normalisation if self.config.model.aipp and self.config.tool.compiler is not None else None

    @property
    def host_normalisation(self) -> Normalisation | None:
        """The normalisation done on the host; None if the card does it."""
        return self.normalisation if self.aipp is None else None

    @property
    def reference_samples(self) -> int | None:
        """How many samples PyTorch computes: None (all) if metrics compare with it, else as the fidelity gate says."""
        return None if self.scored_against == "reference" else self.config.gates.fidelity.samples

    @property
    def reference_batch(self) -> int | None:
        """The batch size of the reference, where outputs depend on it."""
        return self.config.batch.size if self.config.model.batch_dependent else None

    @property
    def stored_results(self) -> ResultsSpec | None:
        """Which results are stored instead of outputs; None if the outputs of all samples are."""
        samples, decode = self.reference_samples, self.decode
        if samples is None or decode is None or reads_metadata(decode) or not stores_results(decode):
            return None
        return ResultsSpec(decode=decode, samples=samples, batch=self.reference_batch)

    @cached_property
    def decode(self) -> Target | None:
        """The callable that turns outputs into results; None uses the first output unchanged."""
        node = self.config.model.decode
        return targets.parse(node, "model.decode") if node else None

    @cached_property
    def metrics(self) -> dict[str, Target]:
        """The data set's metrics by name, those that fit what they compare with."""
        dataset = self.config.dataset
        key, nodes = "metrics", dataset.metrics
        if dataset.reference_metrics and self.scored_against == "reference":
            key, nodes = "reference_metrics", dataset.reference_metrics
        return {name: targets.parse(node, f"dataset.{key}.{name}") for name, node in nodes.items()}

    @property
    def scored_against(self) -> str:
        """What the metrics compare with: `labels`, or `reference`, PyTorch's outputs on the same samples."""
        dataset = self.config.dataset
        lacks_labels = bool(dataset.reference_metrics) and not self.has_truth
        return "reference" if lacks_labels else dataset.scored_against

    @property
    def has_truth(self) -> bool:
        """Whether the samples have ground truth, as far as their reader says."""
        return getattr(self.reader, "has_truth", True)

    @cached_property
    def tool_target(self) -> Target:
        """The target of the tool's adapter."""
        return targets.parse(self.config.tool.adapter, "tool.adapter")

    @cached_property
    def tool(self) -> Tool:
        """The tool's adapter."""
        made: Tool = hooks.made(self.tool_target, _RETURNS["tool.adapter"])
        return made

    @property
    def compiled_elsewhere(self) -> ElsewhereSpec | None:
        """The model that another host has compiled, if a folder of it is given."""
        if self.config.compiled is None:
            return None
        return ElsewhereSpec(
            folder=at_home(self.config.compiled).absolute(),
            model=self.config.model.name,
            soc=self.config.soc.name,
            batch=self.config.batch.size,
            inputs=tuple(
                as_picture(tensor) if self.aipp and len(tensor.shape) == 3 else tensor for tensor in self.inputs
            ),
            outputs=self.outputs,
        )

    @cached_property
    def compiler_target(self) -> Target | None:
        """The target of the tool's compiler; None for a tool that loads ONNX itself, or with a compiled model."""
        node = self.config.tool.compiler
        return None if node is None or self.compiled_elsewhere else targets.parse(node, "tool.compiler")

    @cached_property
    def compiler(self) -> Compiler | None:
        """The tool's compiler; None where there is no target of one."""
        target = self.compiler_target
        made: Compiler | None = None if target is None else hooks.made(target, _RETURNS["tool.compiler"])
        return made

    @property
    def compiler_flags(self) -> dict[str, Any]:
        """The model's own compiler flags: those of atc, on Ascend."""
        return dict(self.config.model.atc) if self.config.soc.kind == "ascend" else {}

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes that one compiled model serves, ascending; none if it serves one."""
        return tuple(sorted(self.config.batch.gears))

    @property
    def compiled_batch(self) -> int:
        """The batch size that a model is compiled for, the largest of several."""
        return max(self.batches, default=self.config.batch.size)

    @property
    def is_range(self) -> bool:
        """Whether a model of several batch sizes or shapes is compiled for all those between them."""
        return self.config.tool.shapes == "range" and bool(self.free_inputs or self.batches)

    def compile_request(self, onnx: Path) -> CompileRequest:
        """Return the request to compile an ONNX file."""
        return CompileRequest(
            model=onnx,
            inputs=self.inputs,
            batch=self.compiled_batch,
            is_static=self.onnx_batch is not None and not self.free_inputs,
            placement=self.placement,
            flags=self.compiler_flags,
            aipp=self.aipp,
            batches=self.batches,
            is_range=self.is_range,
        )

    @cached_property
    def placement(self) -> Placement:
        """The SoC and the devices."""
        device, soc = self.config.device, self.config.soc
        devices = device if isinstance(device, list) else [device]
        if not devices or not all(type(each) is int and each >= 0 for each in devices):  # true is no index
            raise ConfigError(
                f"device is {device!r}", "give a device index, as in device=0, or a list, as in device=[0,1]"
            )
        return Placement(
            soc=soc.name, kind=soc.kind, devices=tuple(devices), soc_version=soc.soc_version, chips=soc.chips
        )

    @cached_property
    def limits(self) -> MeasuringLimits:
        """The limits of a measurement: warm-up, iterations and seconds."""
        options = self.config.benchmark
        return MeasuringLimits(options.warmup, options.min_iterations, options.min_seconds, options.max_seconds)

    @cached_property
    def needs(self) -> order.Needs:
        """The stages that each stage needs."""
        return order.needs(
            plays=self.reader.needs_policy,
            real_inputs=self.config.benchmark.input == "real",
            free_sizes=bool(self.free_inputs),
            compiles=self.config.tool.compiler is not None,
            is_outside=self.is_outside,
            reads_metadata=self.is_outside and reads_metadata(self.decode),
            compiled_elsewhere=self.compiled_elsewhere is not None,
        )


def _is_free(size: Any) -> bool:
    """Return whether a size in a model's shape is null or a name."""
    return size is None or isinstance(size, str)


def _height_and_width(name: str, given: list[int] | None) -> tuple[int, int] | None:
    if given is None:
        return None
    if len(given) != 2:
        raise ConfigError(f"model.preprocess.{name} is {given}", "give [height, width] in pixels")
    return given[0], given[1]


def _bytes(given: Any) -> tuple[int, ...]:
    values = given if isinstance(given, list) else [given]
    if not all(isinstance(value, int) for value in values):
        raise ConfigError(f"model.preprocess.pad_value is {given!r}", "give a byte, 0 to 255, or one per channel")
    return tuple(values)


def open_store(config: RunConfig) -> Store:
    """Open the store of a run, which records the model's name with its artifacts."""
    return Store(at_home(config.cache_dir).absolute(), config.model.name)

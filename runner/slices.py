"""The slices of the configuration that stages and checks work from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import targets
from runner.artifacts import Origin, TensorSpec
from runner.compilers import Compiler
from runner.datasets import HashFiles, Reader, Request
from runner.errors import ConfigError
from runner.networks import CheckpointLayout, NetworkSpec
from runner.preprocess import Geometry, Normalisation
from runner.schema import ModelConfig, PreprocessConfig, RunConfig
from runner.stages.weights import WeightsSpec
from runner.targets import Target
from runner.tools import MeasuringLimits, Placement, Tool

CHECKPOINTS = Path("checkpoints")


def network_spec(model: ModelConfig) -> NetworkSpec:
    """The network and how its published checkpoint is laid out."""
    checkpoint = model.checkpoint
    settings = checkpoint.settings
    layout = CheckpointLayout(
        unwrap=tuple(checkpoint.unwrap),
        rename=dict(checkpoint.rename),
        drop_background=checkpoint.drop_background,
        settings=targets.parse(settings, "model.checkpoint.settings") if settings else None,
        adapt=targets.parse(checkpoint.adapt, "model.checkpoint.adapt") if checkpoint.adapt else None,
    )
    return NetworkSpec(targets.parse(model.network, "model.network"), layout, input_specs(model))


def input_specs(model: ModelConfig) -> tuple[TensorSpec, ...]:
    """The model's declared inputs."""
    return tuple(TensorSpec(tensor.name, tensor.dtype, tuple(tensor.shape)) for tensor in model.inputs)


def simplified_batch(model: ModelConfig, batch: int) -> int | None:
    """The batch size that is written into the ONNX model; None where its batch axis stays free."""
    fixed = model.export.fixed_batch or (model.simplify.enabled and model.simplify.fixed_batch)
    return batch if fixed else None


def weights_spec(config: RunConfig, network: NetworkSpec, hash_files: HashFiles) -> WeightsSpec:
    """Where the weights come from: made up, the file at hand, or the declared URL."""
    checkpoint = config.model.checkpoint
    origin, path = weights_origin(config)
    return WeightsSpec(
        origin=origin,
        path=path,
        url=checkpoint.url if origin == "url" else None,
        file=checkpoint.file,
        sha256=_file_digest(path, hash_files) if path else checkpoint.sha256 if origin == "url" else None,
        size_bytes=checkpoint.size_bytes if origin == "url" else None,
        network=network if origin == "random" else None,
        seed=config.seed if origin == "random" else 0,
    )


def _file_digest(path: Path, hash_files: HashFiles) -> str | None:
    return hash_files(path.parent, [Path(path.name)])[0] if path.is_file() else None


def weights_origin(config: RunConfig) -> tuple[Origin, Path | None]:
    """The origin that `weights` stands for, and the file if it is one."""
    if config.weights == "random":
        return "random", None
    path = CHECKPOINTS / config.model.checkpoint.file if config.weights == "auto" else Path(config.weights).expanduser()
    if config.weights == "auto" and not path.exists():
        return "url", None
    return "file", path.absolute()


@dataclass(frozen=True)
class DataSource:
    """A data set's reader, and what the model asks of it."""

    target: Target
    reader: Reader
    request: Request


def data_source(config: RunConfig) -> DataSource:
    """The data set. Readers list their files once, so a run makes one source and keeps it."""
    target = targets.parse(config.dataset.reader, "dataset.reader")
    preprocess = config.model.preprocess
    reader: Reader = targets.call(target)
    seed = config.seed if reader.seeded else 0
    request = Request(input_specs(config.model), geometry_of(preprocess), config.limit, seed)
    return DataSource(target, reader, request)


def tool_of(config: RunConfig) -> tuple[Target, Tool]:
    """The tool's adapter."""
    target = targets.parse(config.tool.adapter, "tool.adapter")
    return target, targets.call(target)


def compiler_of(config: RunConfig) -> tuple[Target, Compiler] | None:
    """The tool's compiler; None for a tool that loads ONNX itself."""
    if config.tool.compiler is None:
        return None
    target = targets.parse(config.tool.compiler, "tool.compiler")
    return target, targets.call(target)


def compiler_flags(config: RunConfig) -> dict[str, Any]:
    """The model's own flags of the compiler: those of atc, for Ascend."""
    return dict(config.model.atc) if config.soc.kind == "ascend" else {}


def placement_of(config: RunConfig) -> Placement:
    """The SoC and the devices.

    Raises:
        ConfigError: `device` is no index and no list of them.
    """
    devices = config.device if isinstance(config.device, list) else [config.device]
    if not devices or not all(isinstance(device, int) and device >= 0 for device in devices):
        raise ConfigError(
            f"device is {config.device!r}", "give a device index, as in device=0, or a list, as in device=[0,1]"
        )
    soc = config.soc
    return Placement(soc.name, soc.kind, tuple(devices), soc.soc_version, soc.chips)


def geometry_of(preprocess: PreprocessConfig) -> Geometry:
    """The stored part of the preprocessing."""
    return Geometry(
        preprocess.resize, preprocess.interpolation, preprocess.crop, preprocess.channels, preprocess.keep_ratio
    )


def normalisation_of(preprocess: PreprocessConfig) -> Normalisation:
    """The part of the preprocessing that is applied as batches are made."""
    return Normalisation(preprocess.scale, tuple(preprocess.mean), tuple(preprocess.std))


def reference_samples(config: RunConfig) -> int | None:
    """How many samples PyTorch computes: all where the metrics compare with it, else what fidelity needs."""
    return None if config.dataset.scored_against == "reference" else config.gates.fidelity.samples


def measuring_limits(config: RunConfig) -> MeasuringLimits:
    """The benchmark's options."""
    options = config.benchmark
    return MeasuringLimits(options.warmup, options.min_iterations, options.min_seconds, options.max_seconds)

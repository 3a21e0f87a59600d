"""Everything that can be known to be wrong before the first expensive stage, all at once."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from runner import plan, slices, targets
from runner.errors import Fault, RunnerError
from runner.preprocess import geometry_faults
from runner.schema import RunConfig
from runner.slices import DataSource
from runner.store import Store
from runner.targets import Target

DTYPES = ("float32", "float16", "float64", "int64", "int32", "uint8", "bool")
INPUTS = ("random", "real")
"""What a benchmark runs on."""
LONGEST_NAME = 200
"""Bytes of a checkpoint's file name: what the store adds to it must fit into the 255 that file systems take."""
DISK_RESERVE_BYTES = 256 << 20
"""Room for models, logs and results beside the samples."""


def find_faults(config: RunConfig, store: Store, source: Callable[[], DataSource]) -> list[Fault]:
    """Every fault of the configuration and of the machine, in the order of the configuration.

    Only what the wanted stages need is checked. `source` makes the data source, which may itself be at fault.
    """
    wanted = plan.with_needs(config.stages, plan.needs(config))
    checks: list[tuple[str, Callable[[RunConfig], Iterator[Fault]]]] = [
        ("", _options),
        ("", _hooks),
        ("", _model),
        ("weights", _weights),
        ("prepare", _preprocess),
        ("score", _metrics),
        ("compile", _soc_and_tool),
        ("benchmark", _measuring),
        ("prepare", lambda _: iter(source().reader.faults(source().request))),
        ("prepare", lambda _: _disk(config, store, source())),
    ]
    faults: list[Fault] = []
    for stage, check in checks:
        try:
            if stage in wanted or not stage:
                faults += check(config)
        except RunnerError as error:
            faults.append(Fault(error.message, error.fix))
    return list(dict.fromkeys(faults))


def _options(config: RunConfig) -> Iterator[Fault]:
    if config.batch.size < 1:
        yield Fault(f"batch is {config.batch.size}", "give a batch size of at least 1, as in batch=32")
    if config.limit is not None and config.limit < 1:
        yield Fault(f"limit is {config.limit}", "give a number of samples of at least 1, or limit=null for all")
    if config.seed < 0:
        yield Fault(f"seed is {config.seed}", "give a seed of 0 or more")
    yield from _stage_names("stages", config.stages or [])
    if not isinstance(config.force, (bool, list)):
        yield Fault(f"force is {config.force!r}", "give force=true, or a list of stages, as in force=[benchmark]")
    yield from _stage_names("force", config.force if isinstance(config.force, list) else [])
    benchmark = config.benchmark
    if benchmark.input not in INPUTS:
        yield Fault(f"benchmark.input is {benchmark.input!r}", f"choose from {', '.join(INPUTS)}")
    for name, value, least in (
        ("benchmark.warmup", benchmark.warmup, 0),
        ("benchmark.min_iterations", benchmark.min_iterations, 1),
        ("benchmark.min_seconds", benchmark.min_seconds, 0),
        ("benchmark.max_seconds", benchmark.max_seconds, max(benchmark.min_seconds, 0)),
        ("gates.fidelity.samples", config.gates.fidelity.samples, 1),
        ("gates.accuracy.tolerance", config.gates.accuracy.tolerance, 0),
    ):
        if not value >= least or math.isinf(value):
            yield Fault(f"{name} is {value:g}", f"give a number of at least {least:g}")


def _stage_names(option: str, names: list[str]) -> Iterator[Fault]:
    for name in names:
        if name not in plan.STAGES:
            yield Fault(f"{option} names {name!r}, which is no stage", f"choose from {', '.join(plan.STAGES)}")


def _hooks(config: RunConfig) -> Iterator[Fault]:
    """Callables that may not be named where they are, or that nothing holds."""
    model = config.model
    named: list[tuple[str, Any]] = [
        ("model.network", model.network),
        ("model.checkpoint.settings", model.checkpoint.settings),
        ("model.checkpoint.adapt", model.checkpoint.adapt),
        *(("model.surgery", {"_target_": name}) for name in model.surgery),
        ("dataset.preview", config.dataset.preview),
    ]
    for where, node in named:
        if node or where == "model.network":
            try:
                yield from _existing(targets.parse(node, where), where)
            except RunnerError as error:
                yield Fault(error.message, error.fix)


def _model(config: RunConfig) -> Iterator[Fault]:
    model = config.model
    for tensor in model.inputs:
        if tensor.dtype not in DTYPES:
            yield Fault(f"input {tensor.name}: dtype is {tensor.dtype!r}", f"choose from {', '.join(DTYPES)}")
        if any(size < 1 for size in tensor.shape):
            yield Fault(f"input {tensor.name}: shape is {tensor.shape}", "give sizes of at least 1, without the batch")
    for kind, names in (("inputs", [tensor.name for tensor in model.inputs]), ("outputs", list(model.outputs))):
        if not names or len(set(names)) != len(names) or "" in names:
            yield Fault(f"model.{kind} are named {names}", "give each a name of its own, and at least one")


def _existing(target: Target, where: str) -> Iterator[Fault]:
    module = target.name.rpartition(".")[0]
    if module.split(".")[0] not in targets.LIBRARIES and targets.module_path(module) is None:
        yield Fault(
            f"{where} names {target.name}: there is no module {module}", "correct the name or install its package"
        )


def _weights(config: RunConfig) -> Iterator[Fault]:
    checkpoint = config.model.checkpoint
    origin, path = slices.weights_origin(config)
    if not _is_plain(checkpoint.file):
        yield Fault(
            f"model.checkpoint.file is {checkpoint.file!r}, which is no plain file name",
            "name the file alone: it lies in checkpoints/, and a download gets that name",
        )
        return
    own = slices.CHECKPOINTS / checkpoint.file
    if path is not None and not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        yield Fault(f"weights: {path} {what}", "give weights=PATH of a checkpoint, weights=auto or weights=random")
    if origin == "url" and checkpoint.url is None:
        source = checkpoint.where or "the model's YAML names no source"
        yield Fault(
            f"weights=auto: {own} is missing, and there is no direct URL to fetch it from",
            f"get it there: {source}; put it at {own.absolute()}, or give weights=PATH or weights=random",
        )


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not set("/\0") & set(name) and len(os.fsencode(name)) <= LONGEST_NAME


def _preprocess(config: RunConfig) -> Iterator[Fault]:
    preprocess = config.model.preprocess
    yield from geometry_faults(
        slices.geometry_of(preprocess), slices.normalisation_of(preprocess), slices.input_specs(config.model)
    )


def _metrics(config: RunConfig) -> Iterator[Fault]:
    choices = ("labels", "reference")
    if config.dataset.scored_against not in choices:
        yield Fault(f"dataset.scored_against is {config.dataset.scored_against!r}", f"choose from {', '.join(choices)}")
    if not config.dataset.metrics:
        yield Fault("dataset.metrics is empty", "name at least one metric")
    for name, node in config.dataset.metrics.items():
        metric = targets.parse(node, f"dataset.metrics.{name}")
        targets.check_arguments(metric, targets.locate(metric), 2, {})


def _soc_and_tool(config: RunConfig) -> Iterator[Fault]:
    if config.soc.kind not in config.tool.serves:
        yield Fault(
            f"soc={config.soc.name} ({config.soc.kind}) cannot be served by tool={config.tool.name},"
            f" which serves {', '.join(config.tool.serves)}",
            f"choose a tool that serves {config.soc.kind}, or a soc of the kind {' or '.join(config.tool.serves)}",
        )
        return
    placement = slices.placement_of(config)
    _, tool = slices.tool_of(config)
    yield from tool.faults(placement)
    compiler = slices.compiler_of(config)
    if compiler is not None:
        yield from compiler[1].faults(placement, slices.compiler_flags(config), config.model.export.opset)
    if config.model.aipp and placement.kind != "ascend":
        yield Fault(
            f"model.aipp is true, and soc={config.soc.name} is no Ascend card to normalise on", "leave model.aipp out"
        )


def _measuring(config: RunConfig) -> Iterator[Fault]:
    """What is asked of the measurement, and the tool's cannot do."""
    name = config.tool.name
    measuring = slices.tool_of(config)[1].measuring()
    if config.benchmark.input == "real" and not measuring.takes_inputs:
        yield Fault(f"benchmark.input is 'real', and {name} measures on data of its own", "leave benchmark.input out")
    if config.benchmark.isolate and not measuring.in_process:
        yield Fault(
            f"benchmark.isolate is true, and {name} is a process of its own already", "leave benchmark.isolate out"
        )


def _disk(config: RunConfig, store: Store, source: DataSource) -> Iterator[Fault]:
    if any(_model(config)) or source.reader.faults(source.request):
        return  # what is to be stored is not known
    needed_bytes = DISK_RESERVE_BYTES + source.reader.stored_bytes(source.request)
    folder = existing_parent(store.root.absolute())
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes and not _prepared(config, store, source):
        yield Fault(
            f"{folder} has {free_bytes / 2**30:.1f} GiB free, the run needs about {needed_bytes / 2**30:.1f} GiB",
            "make room, choose another folder with cache_dir=DIR, or fewer samples with limit=N",
        )


def _prepared(config: RunConfig, store: Store, source: DataSource) -> bool:
    stages = {stage.name: stage for stage in plan.plan(config, source, store.hash_files).stages}
    prepare = stages["prepare"]
    return not prepare.needs and store.find("prepare", plan.key(prepare, {}), prepare.kind) is not None


def existing_parent(path: Path) -> Path:
    """The path itself or the nearest folder above it that exists."""
    while not path.exists():
        path = path.parent
    return path

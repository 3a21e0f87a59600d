"""Find all problems that can be known before the first expensive stage."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from runner.config import groups, hooks, options, schema, targets
from runner.config.targets import Target
from runner.core import FREE, HookError, PreflightError, Problem, RunnerError, Weights, bounds
from runner.core.modules import LIBRARIES, module_path
from runner.data import geometry_problems, predictions, storage
from runner.pipeline import keys, plan
from runner.pipeline.plan import Plan
from runner.pipeline.setup import Setup
from runner.stages import order
from runner.stages.compiled_elsewhere import ElsewhereSpec, compiled_elsewhere
from runner.stages.import_onnx import fitted
from runner.store import Store
from runner.tasks import TASKS, decode_of, folder_of, metric_of
from runner.tools import PathChecking, ProfilingTool

SAMPLES = "samples"
"""Stands beside the metrics in result.json's `accuracy`."""
LONGEST_NAME = 200
"""Bytes of a checkpoint's file name, and of an input's and an output's.

With what the store appends, a name must fit into the file system's limit of 255.
"""
DISK_RESERVE_BYTES = 256 << 20
"""Disk space for models, logs and results in addition to the samples."""


def checked_plan(setup: Setup, store: Store) -> Plan:
    """Return the plan of a run after checking it for problems.

    Raises:
        PreflightError: lists all problems.
    """
    problems = find_problems(setup, store)
    if problems:
        raise PreflightError(problems)
    return plan.plan(setup, store.hash_files)


def find_problems(setup: Setup, store: Store) -> list[Problem]:
    """Return all problems of the configuration and the machine, in the order of the configuration.

    Only what the wanted stages need is checked.
    """
    checks: list[tuple[str, Callable[[Setup], Iterable[Problem]]]] = [
        ("", _options),
        ("", _hooks),
        ("", _model),
        ("weights", _weights),
        ("export", lambda setup: _outside(setup, store)),
        ("prepare", lambda setup: geometry_problems(setup.geometry, setup.normalisation, setup.inputs)),
        ("score", _task),
        ("score", _decode),
        ("score", _metrics),
        ("score", _results),
        ("compile", _soc_and_tool),
        ("compile", lambda setup: _paths(setup, store)),
        ("compile", _gears),
        ("benchmark", _measuring),
        ("prepare", lambda setup: setup.reader.validate(setup.request)),
        ("prepare", lambda setup: _disk(setup, store)),
    ]
    wanted = _wanted(setup)
    problems: list[Problem] = []
    for stage, check in checks:
        try:
            if stage in wanted or not stage:
                with hooks.watched():
                    problems += check(setup)
        except HookError:  # not a value to correct: the run fails, and leaves its log
            raise
        except RunnerError as error:
            problems.append(error.problem)
    return list(dict.fromkeys(problems))


def _wanted(setup: Setup) -> set[str]:
    try:
        needs = setup.needs
    except RunnerError:  # reported by the check of the data set
        needs = order.needs(real_inputs=setup.config.benchmark.input == "real")
    return order.wanted(setup.config.stages, needs)


def _options(setup: Setup) -> Iterator[Problem]:
    config = setup.config
    yield from bounds.problems(config)
    for index, row in enumerate(config.model.published):
        for name, value in row.accuracy.items():
            if not math.isfinite(value):
                yield Problem(
                    f"model.published[{index}].accuracy.{name} is {value}", "give the figure, or leave it out"
                )
    yield from _stage_names("stages", config.stages or [], order.STAGES)
    if not isinstance(config.force, (bool, list)):
        yield Problem(f"force is {config.force!r}", "give force=true, or a list of stages, as in force=[benchmark]")
    yield from _stage_names("force", config.force if isinstance(config.force, list) else [], order.STORED)
    benchmark = config.benchmark
    if benchmark.max_seconds < benchmark.min_seconds:
        yield Problem(
            f"benchmark.max_seconds is {benchmark.max_seconds:g}, less than benchmark.min_seconds",
            f"give a number of at least {benchmark.min_seconds:g}",
        )


def _stage_names(option: str, names: Sequence[str], choices: Sequence[str]) -> Iterator[Problem]:
    for name in names:
        if name not in choices:
            yield Problem(f"{option} names {name!r}, which is no stage", f"choose from {', '.join(choices)}")


def _hooks(setup: Setup) -> Iterator[Problem]:
    """Check that configured callables are allowed and that their modules exist."""
    model = setup.config.model
    named: list[tuple[str, Any]] = [
        ("model.network", model.network),
        ("model.checkpoint.settings", model.checkpoint.settings),
        ("model.checkpoint.adapt", model.checkpoint.adapt),
        *(("model.surgery", {"_target_": name}) for name in model.surgery),
        ("dataset.preview", setup.config.dataset.preview),
    ]
    for where, node in named:
        if node or (where == "model.network" and not setup.is_outside):
            try:
                for target in targets.with_nested(targets.parse(node, where)):
                    yield from _existing(target, where)
            except RunnerError as error:
                yield error.problem


def _model(setup: Setup) -> Iterator[Problem]:
    model = setup.config.model
    if setup.is_outside and (model.network or model.checkpoint.file):
        yield Problem("model.onnx is given beside model.network or model.checkpoint", "an ONNX file takes their place")
    if model.batch_dependent and model.preprocess.tile:
        yield Problem(
            f"model.preprocess.tile is {list(model.preprocess.tile)} beside model.batch_dependent: tiles of a picture "
            "may come into different batches, on which their outputs depend",
            "leave model.preprocess.tile out, and set model.preprocess.fit so that each picture is one row",
        )
    for tensor in setup.inputs:
        if any(not isinstance(size, int) or (size < 1 and size != FREE) for size in tensor.shape):
            yield Problem(
                f"input {tensor.name}: shape is {list(tensor.shape)}",
                "give sizes of at least 1, without the batch; null for a size that differs between samples",
            )
    for kind, names in (("inputs", [tensor.name for tensor in setup.inputs]), ("outputs", list(setup.outputs))):
        if not names or len(set(names)) != len(names) or "" in names:
            yield Problem(f"model.{kind} are named {names}", "give each a name of its own, and at least one")
    yield from _names_of_files(setup)


def _names_of_files(setup: Setup) -> Iterator[Problem]:
    """Check that the names of inputs and outputs are told apart by the arrays that are named by them."""
    inputs = [tensor.name for tensor in setup.inputs]
    outputs = list(setup.outputs)
    for name in dict.fromkeys([*inputs, *outputs]):
        if len(os.fsencode(name)) > LONGEST_NAME or not name.isprintable():
            yield Problem(
                f"the input or output {name[:80]!a} cannot name a file",
                f"give it a name of at most {LONGEST_NAME} bytes without control characters",
            )
    for one, other in combinations(dict.fromkeys(inputs), 2):
        if storage.files_of(one) & storage.files_of(other):
            yield Problem(f"the inputs {one!r} and {other!r} would be stored in one file", "rename one of them")
    taken = {predictions.IDS, *(f"{name}{predictions.SHAPES}" for name in outputs)}
    for name in sorted(taken & set(outputs)):
        yield Problem(f"the output {name!r} has the name of an array that is stored beside it", "rename it")
    if not setup.is_outside:
        for name in sorted(set(inputs) & set(outputs)):
            yield Problem(f"an input and an output are both named {name!r}", "rename one of them")


def _existing(target: Target, where: str) -> Iterator[Problem]:
    module = target.name.rpartition(".")[0]
    if module.split(".")[0] not in LIBRARIES and module_path(module) is None:
        yield Problem(
            f"{where} names {target.name}: there is no module {module}", "correct the name or install its package"
        )


def _weights(setup: Setup) -> Iterator[Problem]:
    published, place = setup.published, "onnx" if setup.is_outside else "checkpoint"
    if not all(map(_is_plain, _parts(setup))):
        yield Problem(
            f"model.{place}.file is {published.file!r}, which is no plain file name",
            "name the file alone: it lies in checkpoints/, and a download gets that name",
        )
        return
    origin, path = setup.weights
    if path is not None and not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        yield Problem(f"weights: {path} {what}", "give weights=PATH of a checkpoint, weights=auto or weights=random")
    if origin == "url" and published.url is None:
        source = schema.in_language(published.where) or "the model's YAML names no source"
        or_random = "" if setup.is_outside else " or weights=random"
        yield Problem(
            f"weights=auto: {setup.own_file} is missing, and there is no direct URL to fetch it from",
            f"get it there: {source}; put it at {setup.own_file.absolute()}, or give weights=PATH{or_random}",
        )


def _parts(setup: Setup) -> list[str]:
    """Return the names that the path of the published file consists of: several only in an installed package."""
    package = setup.config.model.onnx.package if setup.config.model.onnx else None
    return setup.published.file.split("/") if package else [setup.published.file]


def _outside(setup: Setup, store: Store) -> list[Problem]:
    """Check an ONNX file from outside, unless that is stored; find_problems reports what this raises."""
    origin, path = setup.weights
    if not setup.is_outside or path is None or not path.is_file():
        return []
    export = plan.export(setup)
    weights = Weights(path, plan.weights_digest(setup, path, store.hash_files), origin)
    if store.find("export", keys.key(export, {"weights": weights}), export.kind) is None:
        fitted(export.spec, path)
    return []


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not set("/\0") & set(name) and len(os.fsencode(name)) <= LONGEST_NAME


def _task(setup: Setup) -> Iterator[Problem]:
    """Check that the model, its decoder, the data set and its metrics belong to one task."""
    model, dataset = setup.config.model, setup.config.dataset
    kind = TASKS.get(model.task)
    if kind is None:  # a task of the user's
        return
    if dataset.task is not None and dataset.task != model.task:
        fitting = [
            name for name, path in groups.files("dataset", None).items() if options.read(path).get("task") == model.task
        ]
        yield Problem(
            f"model={model.name} is for {model.task}, and dataset={dataset.name} for {dataset.task}",
            f"choose dataset={' or dataset='.join(fitting)}" if fitting else "choose a dataset= that fits",
        )
    if setup.decode is None and kind.is_decoded and setup.scored_against == "labels":
        yield Problem(
            f"model.decode is not given, and the outputs of a model for {model.task} need decoding",
            f"name one of runner.tasks.{kind.folder}; docs/tasks.md lists them",
        )
    if setup.decode is not None:
        yield from _of_task("model.decode", setup.decode, model.task)
    task = dataset.task or (model.task if setup.scored_against == "labels" else None)
    or_reference = ", or compare with PyTorch: dataset.scored_against=reference" if dataset.reference_metrics else ""
    for name, target in setup.metrics.items():
        yield from _of_task(f"dataset.metrics.{name}", target, task, or_reference)


def _of_task(place: str, target: Target, task: str | None, alternative: str = "") -> Iterator[Problem]:
    folder, kind = folder_of(target.name), TASKS.get(task or "")
    if folder is not None and kind is not None and folder != kind.folder:
        yield Problem(
            f"{place} names {target.name}, which is not for {task}",
            f"name one of runner.tasks.{kind.folder}{alternative}",
        )


def _decode(setup: Setup) -> list[Problem]:
    """Find the model's decoder; find_problems reports what it raises."""
    decode_of(setup.decode)
    return []


def _metrics(setup: Setup) -> Iterator[Problem]:
    if not setup.metrics:
        yield Problem("dataset.metrics is empty", "name at least one metric")
    if setup.scored_against == "labels" and not setup.has_truth:
        yield Problem(
            f"the metrics of dataset={setup.config.dataset.name} compare with labels, and it has none",
            "give dataset.labels=FILE where the data set takes it, or metrics and dataset.scored_against=reference",
        )
    published = {name for row in setup.config.model.published for name in row.accuracy}
    places: dict[str, str] = {SAMPLES: "the number of samples"}
    for name, target in setup.metrics.items():
        for metric, figure in metric_of(name, target).figures.items():
            if metric in places:
                yield Problem(
                    f"dataset.metrics.{name} has a figure {metric!r}, which is the name of {places[metric]}",
                    "rename it, or leave one of them out",
                )
            places[metric] = f"a figure of dataset.metrics.{name}"
            if figure.better is None and metric in published:
                yield Problem(
                    f"dataset.metrics.{name} names {target.name}, which does not say whether {metric} is better higher "
                    "or lower, and model.published has a figure for it",
                    'decorate it, as in @runner.tasks.measured_in("percent", better="higher")',
                )


def _results(setup: Setup) -> Iterator[Problem]:
    """Check the decoder by the metrics that ask something of it."""
    decode = decode_of(setup.decode)
    for name, target in setup.metrics.items():
        validate = getattr(metric_of(name, target), "validate", None)
        if validate is not None:
            yield from validate(decode)


def _soc_and_tool(setup: Setup) -> Iterator[Problem]:
    soc, tool = setup.config.soc, setup.config.tool
    if soc.kind not in tool.serves:
        yield Problem(
            f"soc={soc.name} ({soc.kind}) cannot be served by tool={tool.name}, which serves {', '.join(tool.serves)}",
            f"choose a tool that serves {soc.kind}, or a soc of the kind {' or '.join(tool.serves)}",
        )
        return
    for option in ("arguments", "provider_options", "session_options"):
        if getattr(tool, option) and option not in tool.adapter:
            yield Problem(f"tool.{option} is given, and tool={tool.name} takes none", "leave it out")
    if _wanted(setup) & {"infer", "benchmark"}:
        yield from setup.tool.validate(setup.placement, setup.inputs)
    if setup.compiled_elsewhere is not None:
        yield from _compiled(setup, setup.compiled_elsewhere)
    if setup.compiler is not None:
        opset = setup.config.model.export.opset
        yield from setup.compiler.validate(setup.placement, setup.compiler_flags, opset, setup.inputs)
    if setup.config.model.aipp and setup.placement.kind != "ascend":
        yield Problem(
            f"model.aipp is true, and soc={soc.name} is no Ascend card to normalise on", "leave model.aipp out"
        )
    free = [tensor.name for tensor in setup.inputs if tensor.is_free]
    if setup.aipp is not None and free:
        yield Problem(
            f"model.aipp is true, and sizes of {', '.join(free)} are free: AIPP normalises pictures of one size",
            "set model.aipp=false: the host normalises then; or give the sizes in model.inputs",
        )


def _paths(setup: Setup, store: Store) -> Iterator[Problem]:
    """Check that the programs take the paths of the store, in which models and samples lie."""
    users: list[Any] = [setup.compiler] if setup.compiler is not None else []
    users += [setup.tool] if _wanted(setup) & {"infer", "benchmark"} else []
    for user in users:
        if isinstance(user, PathChecking):
            yield from user.path_problems(store.root)


def _gears(setup: Setup) -> Iterator[Problem]:
    """Check the batch sizes that one compiled model is to serve."""
    gears, batch, tool = setup.config.batch.gears, setup.config.batch.size, setup.config.tool
    if not gears:
        return
    given = f"batch.gears is {list(gears)}"
    if not tool.serves_gears:
        yield Problem(f"{given}, and a model for tool={tool.name} has one batch size", "leave batch.gears out")
        return
    if len(gears) < 2 or len(set(gears)) < len(gears) or min(gears) < 1:
        yield Problem(given, "give two or more batch sizes, each once, as in batch.gears=[1,4,8]")
    elif batch not in gears:
        choices = " or ".join(f"batch={each}" for each in gears)
        yield Problem(f"{given}, and batch={batch} is none of them", f"choose {choices}")
    if setup.onnx_batch is not None:
        yield Problem(
            f"{given}, and model={setup.config.model.name} is exported for one batch size",
            "add model.export.fixed_batch=false model.simplify.fixed_batch=false",
        )
    free = [tensor.name for tensor in setup.inputs if tensor.is_free]
    if free and not setup.is_range:
        yield Problem(
            f"{given}, and sizes of {', '.join(free)} are free: a model has gears of the batch or of sizes",
            "leave batch.gears out, or compile for all shapes between the smallest and the largest: tool.shapes=range",
        )


def _compiled(setup: Setup, spec: ElsewhereSpec) -> Iterator[Problem]:
    if setup.config.tool.compiler is None:
        yield Problem(
            f"compiled={setup.config.compiled}, and tool={setup.config.tool.name} loads ONNX itself",
            "leave compiled out",
        )
        return
    try:
        compiled_elsewhere(spec)
    except RunnerError as error:
        yield error.problem


def _measuring(setup: Setup) -> Iterator[Problem]:
    """Check the benchmark options that the tool does not support."""
    name, options = setup.config.tool.name, setup.config.benchmark
    measuring = setup.tool.measuring()
    if options.input == "real" and not measuring.takes_inputs:
        yield Problem(f"benchmark.input is 'real', and {name} measures on data of its own", "leave benchmark.input out")
    if options.isolate and not measuring.in_process:
        yield Problem(
            f"benchmark.isolate is true, and {name} is a process of its own already", "leave benchmark.isolate out"
        )
    if options.profile:
        tool = setup.tool
        if isinstance(tool, ProfilingTool):
            yield from tool.profile_problems(setup.placement)
        else:
            yield Problem(f"benchmark.profile is true, and {name} has no profiler", "leave benchmark.profile out")


def _disk(setup: Setup, store: Store) -> Iterator[Problem]:
    if any(_model(setup)) or any(bounds.problems(setup.config)) or setup.reader.validate(setup.request):
        return  # the size of the samples is not known
    needed_bytes = DISK_RESERVE_BYTES + setup.reader.stored_bytes(setup.request)
    folder = existing_parent(store.root.absolute())
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes and not _is_prepared(setup, store):
        yield Problem(
            f"{folder} has {free_bytes / 2**30:.1f} GiB free, the run needs about {needed_bytes / 2**30:.1f} GiB",
            "make room, choose another folder with cache_dir=DIR, or fewer samples with limit=N",
        )


def _is_prepared(setup: Setup, store: Store) -> bool:
    prepare = plan.prepare(setup, store.hash_files)
    return not prepare.needs and store.find("prepare", keys.key(prepare, {}), prepare.kind) is not None


def existing_parent(path: Path) -> Path:
    """Return the path itself or its nearest existing parent."""
    while not path.exists():
        path = path.parent
    return path

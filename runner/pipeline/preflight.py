"""Find all problems that can be known before the first expensive stage."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from runner.config import callables, hooks, schema, targets
from runner.config.callables import Target
from runner.core import FREE, HookError, PreflightError, Problem, RunnerError, Weights, bounds
from runner.core.modules import LIBRARIES, module_path
from runner.data import geometry_problems, predictions, storage
from runner.pipeline import keys, plan, task_checks, tool_checks
from runner.pipeline.plan import Plan
from runner.pipeline.setup import Setup
from runner.stages import order
from runner.stages.import_onnx import fitted
from runner.store import Store

LONGEST_NAME = 200
"""Bytes of a checkpoint's file name, and of an input's and an output's.

With what the store appends, a name must fit into the file system's limit of 255.
"""
MOST_ELEMENTS = 2**60
"""Of an array, whose bytes numpy counts with 63 bits."""
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
    wanted = _wanted(setup)
    checks: list[tuple[str, Callable[[Setup], Iterable[Problem]]]] = [
        ("", _options),
        ("", _hooks),
        ("", _model),
        ("weights", _weights),
        ("export", lambda setup: _outside(setup, store)),
        ("prepare", lambda setup: geometry_problems(setup.geometry, setup.normalisation, setup.inputs)),
        ("score", task_checks.task_problems),
        ("score", task_checks.decoder_problems),
        ("score", task_checks.metric_problems),
        ("score", task_checks.result_problems),
        ("compile", lambda setup: tool_checks.tool_problems(setup, wanted)),
        ("compile", lambda setup: tool_checks.store_problems(setup, store, wanted)),
        ("compile", tool_checks.gear_problems),
        ("benchmark", tool_checks.measuring_problems),
        ("prepare", lambda setup: setup.reader_problems),
        ("prepare", lambda setup: _disk(setup, store)),
    ]
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
                for target in callables.with_nested(targets.parse(node, where)):
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
        elif math.prod([setup.config.batch.size, *(abs(size) for size in tensor.shape)]) > MOST_ELEMENTS:
            yield Problem(
                f"input {tensor.name}: shape is {list(tensor.shape)}, and no array holds {setup.config.batch.size} of "
                "such samples",
                "correct the shape in model.inputs, or give a smaller batch",
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


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not set("/\0") & set(name) and len(os.fsencode(name)) <= LONGEST_NAME


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


def _disk(setup: Setup, store: Store) -> Iterator[Problem]:
    if any(_model(setup)) or any(bounds.problems(setup.config)) or setup.reader_problems:
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

"""Checks of a run before it begins: that the SoC, the tool and its compiler can do it."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

from runner.core import Problem, RunnerError
from runner.pipeline.setup import Setup
from runner.stages.compiled_elsewhere import ElsewhereSpec, compiled_elsewhere
from runner.store import Store
from runner.tools import PathChecking, ProfilingTool


def tool_problems(setup: Setup, wanted: Set[str]) -> Iterator[Problem]:
    """Check that the tool serves the SoC, and what its adapter and its compiler say, for the wanted stages."""
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
    if wanted & {"infer", "benchmark"}:
        yield from setup.tool.validate(setup.placement, setup.inputs)
    if setup.compiled_elsewhere is not None:
        yield from _compiled(setup, setup.compiled_elsewhere)
    if setup.compiler is not None:
        opset = setup.config.model.export.opset
        yield from setup.compiler.validate(setup.placement, setup.compiler_flags, opset, setup.inputs)
    yield from _aipp_problems(setup)


def _aipp_problems(setup: Setup) -> Iterator[Problem]:
    if setup.config.model.aipp and setup.placement.kind != "ascend":
        yield Problem(
            f"model.aipp is true, and soc={setup.config.soc.name} is no Ascend card to normalise on",
            "leave model.aipp out",
        )
    free = setup.free_inputs
    if setup.aipp is not None and free:
        yield Problem(
            f"model.aipp is true, and sizes of {', '.join(free)} are free: AIPP normalises pictures of one size",
            "set model.aipp=false: the host normalises then; or give the sizes in model.inputs",
        )


def store_problems(setup: Setup, store: Store, wanted: Set[str]) -> Iterator[Problem]:
    """Check that the programs take the paths of the store, in which models and samples lie."""
    users: list[Any] = [setup.compiler] if setup.compiler is not None else []
    users += [setup.tool] if wanted & {"infer", "benchmark"} else []
    for user in users:
        if isinstance(user, PathChecking):
            yield from user.path_problems(store.root)


def gear_problems(setup: Setup) -> Iterator[Problem]:
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
    free = setup.free_inputs
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


def measuring_problems(setup: Setup) -> Iterator[Problem]:
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

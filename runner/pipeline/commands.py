"""The external commands of a run as shell lines, before any of them has run."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

from runner.core import Artifact, Command, CompiledModel, OnnxModel
from runner.measure import first_calls
from runner.pipeline.setup import Setup
from runner.tools import DryRunPaths, ProfilingTool


def shell_lines(setup: Setup, stages: Collection[str], known: Mapping[str, Artifact]) -> list[str]:
    """Return shell lines, ready to paste in order, for the external programs of some stages.

    The ONNX model is named by its path in the store if it is `known`, else as `<model>.onnx` in this folder; comments
    say what makes it, and what stands for sizes that the samples decide.
    """
    commands = [command for command in _commands(setup, known) if command.stage in stages]
    if not commands:
        return []
    script = setup.config.tool.environment_script
    sourced = [shlex.join(["source", script])] if script else []
    notes = [
        f"# {setup.config.model.name}.onnx is what the stages up to simplify make, samples/ what prepare makes,"
        " one_batch/ a batch of random inputs or of samples"
    ]
    if setup.free_inputs:
        notes.append(
            "# -1 is a size of the samples, known after prepare: the compiler gets all their shapes, a call has one"
        )
    if any(command.stage == "benchmark" for command in commands):
        limits = setup.limits
        notes.append(
            f"# benchmark runs twice: {first_calls(limits)} calls tell how long one takes; then as many as shown,"
            f" more to last benchmark.min_seconds={limits.min_seconds:g},"
            f" fewer to end within benchmark.max_seconds={limits.max_seconds:g}"
        )
    if setup.config.tool.host is not None:
        notes.append(
            "# send.batch sends what the other host lacks of the model and the inputs, into the call's folder; "
            "fetch.batch gets result/ back (docs/two_hosts.md)"
        )
    return [*notes, *sourced, *(shlex.join(command.argv) for command in commands)]


def _commands(setup: Setup, known: Mapping[str, Artifact]) -> list[Command]:
    name, batch = setup.config.model.name, setup.config.batch.size
    compiled = Path(f"{name}_bs{'_'.join(map(str, setup.batches or [batch]))}")
    onnx = known.get("simplify")
    commands = []
    if setup.compiler is not None:
        request = setup.compile_request(onnx.path if isinstance(onnx, OnnxModel) else Path(f"{name}.onnx"))
        commands += [Command("compile", argv) for argv in setup.compiler.commands(request, compiled)]
    suffix = ".om" if setup.placement.kind == "ascend" else ".engine"
    elsewhere = known.get("compile") if setup.compiled_elsewhere else None
    paths = DryRunPaths(
        model=elsewhere.path if isinstance(elsewhere, CompiledModel) else compiled.with_name(compiled.name + suffix),
        batch=batch,
        batches=setup.batches,
        is_range=setup.is_range,
        inputs=setup.inputs,
        samples=Path("samples"),
        one_batch=Path("one_batch"),
        results=Path("result"),
    )
    commands += setup.tool.commands(paths, setup.placement, setup.limits)
    if setup.config.benchmark.profile and isinstance(setup.tool, ProfilingTool):
        commands += setup.tool.profile_commands(paths, setup.placement)
    return commands

"""The external commands of a run as a person would type them, before any of them has run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from runner import slices
from runner.artifacts import Artifact, OnnxModel
from runner.compilers import CompileRequest
from runner.plan import Plan
from runner.schema import RunConfig
from runner.tools import Command, Foreseen


def foreseen(config: RunConfig, plan: Plan, known: Mapping[str, Artifact]) -> list[str]:
    """Shell lines, ready to paste in order, for the external programs of the plan's wanted stages.

    The ONNX model is named by its place in the store where it is `known`, else as `<model>.onnx` in this folder, and
    a comment says what makes it.
    """
    wanted = plan.wanted(config.stages)
    commands = [command for command in _commands(config, known) if command.stage in wanted]
    if not commands:
        return []
    script = config.tool.environment_script
    sourced = [shlex.join(["source", script])] if script else []
    made = (
        f"# {config.model.name}.onnx is what the stages up to simplify make, samples/ what prepare makes,"
        " one_batch/ a batch of random inputs or of samples"
    )
    return [made, *sourced, *(shlex.join(command.argv) for command in commands)]


def _commands(config: RunConfig, known: Mapping[str, Artifact]) -> list[Command]:
    placement = slices.placement_of(config)
    inputs = slices.input_specs(config.model)
    compiled = Path(f"{config.model.name}_bs{config.batch.size}")
    onnx = known.get("simplify")
    commands = []
    found = slices.compiler_of(config)
    if found is not None:
        request = CompileRequest(
            onnx.path if isinstance(onnx, OnnxModel) else Path(f"{config.model.name}.onnx"),
            inputs,
            config.batch.size,
            slices.simplified_batch(config.model, config.batch.size) is not None,
            placement,
            slices.compiler_flags(config),
            slices.normalisation_of(config.model.preprocess) if config.model.aipp else None,
        )
        commands += [Command("compile", argv) for argv in found[1].commands(request, compiled)]
    suffix = ".om" if placement.kind == "ascend" else ".engine"
    planned = Foreseen(
        compiled.with_name(compiled.name + suffix),
        config.batch.size,
        inputs,
        Path("samples"),
        Path("one_batch"),
        Path("result"),
    )
    _, tool = slices.tool_of(config)
    return commands + tool.commands(planned, placement, slices.measuring_limits(config))

"""The commands of a guide, one for all batch sizes, and the script that runs them in order. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.config.schema import RunConfig
from runner.core import Command
from runner.pipeline.setup import Setup
from runner.tools import DryRunPaths
from runner.tools.ascend import aipp_config, environment_scripts

SAMPLES = Path("samples")
ROOT = "${dataset_root}"
"""What stands for the data set's folder where none is given."""
ROOT_VARIABLE = f"dataset.root={ROOT}"
"""The override that gives it to a run."""
_ANY_BATCH = 987654321
"""Stands in commands for the batch size, which is `${bs}` in the shell; no other number of theirs is the same."""
_PREFIX = "Ascend"


@dataclass(frozen=True, kw_only=True)
class Commands:
    """Shell lines in which `${bs}` is the batch size; empty where there are none.

    `chip` is what `${chip_name}` stands for; None if no line has it. `source` sets the environment of the programs.
    Only a tool that reads a file a sample has `infer` and `score`. `onnx_file` and `compiled_file` are the models,
    and `results` is the folder of the outputs.
    """

    source: tuple[str, ...]
    chip: str | None
    samples: tuple[str, ...]
    onnx: tuple[str, ...]
    compile: tuple[str, ...]
    infer: tuple[str, ...]
    score: tuple[str, ...]
    benchmark: tuple[str, ...]
    onnx_file: str
    compiled_file: str
    results: str


def commands(config: RunConfig, typed: Sequence[str]) -> Commands:
    """Return the commands of a configuration that was composed from `typed`, which holds no batch."""
    setup = Setup(replace(config, batch=replace(config.batch, size=_ANY_BATCH)))
    name = config.model.name
    compiled = Path(f"{name}_bs{_ANY_BATCH}")
    onnx = compiled.with_suffix(".onnx") if setup.onnx_batch is not None else Path(f"{name}.onnx")
    paths = DryRunPaths(
        model=compiled.with_suffix(".om" if setup.placement.kind == "ascend" else ".engine"),
        batch=_ANY_BATCH,
        inputs=setup.inputs,
        samples=SAMPLES,
        one_batch=Path(f"one_batch_bs{_ANY_BATCH}"),
        results=Path("result") / f"bs{_ANY_BATCH}",
    )
    compiles = [] if setup.compiler is None else setup.compiler.commands(setup.compile_request(onnx), compiled)
    calls = setup.tool.commands(paths, setup.placement, setup.limits)
    infer, benchmark = (_of_stage(calls, stage) for stage in ("infer", "benchmark"))
    is_scored = not setup.free_inputs and any(f"{SAMPLES}/" in line for line in infer)
    results = str(_results(infer, paths))
    folder = (f"mkdir -p {_word(str(paths.results))}",)
    chip = (config.soc.soc_version or "").removeprefix(_PREFIX) if compiles and config.soc.kind == "ascend" else None
    return Commands(
        source=(f"source {_place(environment)}",) if (environment := config.tool.environment_script) else (),
        chip=chip or None,
        samples=(*_step("samples", str(SAMPLES), typed), *_list_of_samples(infer, setup)) if is_scored else (),
        onnx=_step("onnx", str(onnx), [*typed, f"batch={_ANY_BATCH}"] if setup.onnx_batch is not None else typed),
        compile=(*_aipp_file(setup, compiled), *(_with_chip(_line(argv), chip) for argv in compiles)),
        infer=(*folder, *infer) if is_scored else (),
        score=_step("score", results, [*typed, f"batch={_ANY_BATCH}"]) if is_scored else (),
        benchmark=(*(() if is_scored else folder), *_first_batch(benchmark, paths), *benchmark)
        if benchmark and not setup.free_inputs
        else (),
        onnx_file=_word(str(onnx)),
        compiled_file=_word(str(paths.model)),
        results=_word(results),
    )


def sourced(environment: str, absent: str) -> tuple[str, ...]:
    """Return the lines that source CANN's environment script: of several places where it may be, the first that has it.

    `absent` is said where none has it, with `{places}` for them.
    """
    places = environment_scripts(environment)
    if len(places) == 1:
        return (f"source {_place(environment)}",)
    return (
        f"for set_env in {' '.join(map(_place, places))} ''; do",
        '  if [ -f "$set_env" ]; then break; fi',
        "done",
        f': "${{set_env:?{absent.format(places=", ".join(places))}}}"',
        'source "$set_env"',
    )


def script(
    commands: Commands, source: Sequence[str], batches: Iterable[int], heading: str, ask_for_root: str | None
) -> str:
    """Return a bash script that runs the commands for each batch size and stops at the first that fails.

    `source` are the lines that set the environment of the programs, `heading` is a comment; `ask_for_root` is said, if
    given, where the data set's folder is not.
    """
    lines = ["#!/usr/bin/env bash", f"# {heading}", "set -e"]
    if ask_for_root is not None:
        lines.append(f': "${{dataset_root:?{ask_for_root}}}"')
    if commands.chip is not None:
        lines.append(f"chip_name={commands.chip}")
    is_for_all = not any("${bs}" in line for line in commands.onnx)
    lines += [*source, *commands.samples, *(commands.onnx if is_for_all else ())]
    of_batch = (*(() if is_for_all else commands.onnx), *commands.compile, *commands.infer, *commands.score)
    loop = (f"for bs in {' '.join(map(str, batches))}; do", *of_batch, *commands.benchmark, "done")
    return "\n".join([*lines, *loop, ""])


def command(program: Sequence[str], arguments: Iterable[str]) -> str:
    """Return a shell line, in which `${dataset_root}` stays a variable."""
    return _line([*program, *arguments])


def _step(step: str, path: str, arguments: Sequence[str]) -> tuple[str, ...]:
    return (command(["python", "-m", "runner.guide.steps"], [step, path, *arguments]),)


def _results(infer: Sequence[str], paths: DryRunPaths) -> Path:
    """Return the folder below which the tool writes the outputs."""
    if any("-om_path=" in line for line in infer):
        return Path("result")  # the old benchmark tool knows no other
    return paths.results / "infer" if any("--output_dirname infer" in line for line in infer) else paths.results


def _of_stage(commands: Sequence[Command], stage: str) -> tuple[str, ...]:
    return tuple(_line(command.argv) for command in commands if command.stage == stage)


def _aipp_file(setup: Setup, compiled: Path) -> tuple[str, ...]:
    """Return the lines that write the configuration of AIPP, if the card normalises."""
    if setup.aipp is None or setup.compiler is None:
        return ()
    content = aipp_config(setup.aipp, setup.inputs).rstrip("\n")
    return (f"cat > {_word(f'{compiled}.aipp.cfg')} <<'END'", *content.split("\n"), "END")


def _list_of_samples(infer: Sequence[str], setup: Setup) -> tuple[str, ...]:
    """Return the line that writes the list of files which the old benchmark tool reads, if this is the tool."""
    listed = SAMPLES / "samples.info"
    if not any(str(listed) in line for line in infer):
        return ()
    height, width = setup.inputs[0].shape[-2:]
    return (f"ls {SAMPLES}/0 | awk '{{print NR - 1, \"{SAMPLES}/0/\" $0, {width}, {height}}}' > {listed}",)


def _first_batch(benchmark: Sequence[str], paths: DryRunPaths) -> tuple[str, ...]:
    """Return the lines that copy the first samples to where the measurement takes them, if it takes any."""
    folder = _word(str(paths.one_batch))
    if not any(folder in line for line in benchmark):
        return ()
    return tuple(
        line
        for number in range(len(paths.inputs))
        for line in (
            f"mkdir -p {folder}/{number}",
            f"ls {SAMPLES}/{number} | head -n ${{bs}} | xargs -I{{}} cp {SAMPLES}/{number}/{{}} {folder}/{number}/",
        )
    )


def _with_chip(line: str, chip: str | None) -> str:
    return line.replace(f"--soc_version={_PREFIX}{chip}", f"--soc_version={_PREFIX}${{chip_name}}") if chip else line


def _line(words: Iterable[str]) -> str:
    return " ".join(map(_word, words))


def _place(path: str) -> str:
    """Quote a path for the shell, but for a leading ~, which is the user's home."""
    return f"~/{shlex.quote(path[2:])}" if path.startswith("~/") else shlex.quote(path)


def _word(text: str) -> str:
    """Quote a word for the shell, but for the variables in it."""
    if ROOT not in text and (str(_ANY_BATCH) not in text or shlex.quote(text) == text):
        return shlex.quote(text).replace(str(_ANY_BATCH), "${bs}")
    escaped = re.sub(r'(["\\`]|\$(?!\{dataset_root\}))', r"\\\1", text)
    return f'"{escaped}"'.replace(str(_ANY_BATCH), "${bs}")

"""ais_bench, Ascend's inference tool: the command line, or the Python interface in this process.

Flags, output and files are those of both lines that call themselves 0.0.2: github.com/Ascend/tools at 9d6da90 (folder
ais-bench_workload/tool/ais_bench), and github.com/Ascend/msit (ait/components/benchmark/ais_bench at 6394cfe1d^).
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from runner.core import (
    Command,
    CompiledModel,
    Finished,
    OperatorTime,
    Placement,
    Problem,
    TensorSpec,
    Timing,
    ToolError,
    one_of,
    process,
)
from runner.core.lazy import NDArray
from runner.data import Batch
from runner.measure import MeasuringLimits, in_windows, long_enough
from runner.tools import command_line, remote
from runner.tools.ascend import _arguments as arguments
from runner.tools.ascend import _infer_session as infer_session
from runner.tools.ascend import _installation as installation
from runner.tools.ascend import _model_files as model_files
from runner.tools.ascend import _op_summary as op_summary
from runner.tools.ascend import _sample_files as sample_files
from runner.tools.ascend import _shapes as shapes
from runner.tools.ascend import _summary as summary
from runner.tools.ascend import cann
from runner.tools.ascend._arguments import CHOSEN, OUTPUTS_REMOVED
from runner.tools.ascend._command_line_tool import CommandLineTool
from runner.tools.ascend._installation import Installation
from runner.tools.ascend._sample_files import Chunk
from runner.tools.ascend._summary import Summary
from runner.tools.command_line import attributed_to
from runner.tools.profile import PROFILED_CALLS, first_device, slowest
from runner.tools.tool import DryRunPaths, Measuring

OWN_FLAGS = {
    **dict.fromkeys(("model", "input", "output", "output_dirname", "outfmt"), CHOSEN),
    "dymBatch": f"{CHOSEN}, as in batch.gears=[1,4,8]",
    **dict.fromkeys(("dymHW", "dymDims"), f"{CHOSEN}, by the shapes of the samples"),
    **dict.fromkeys(("dymShape", "outputSize"), f"{CHOSEN}, as in tool.shapes=range"),
    "batchsize": f"{CHOSEN}, as in batch=8",
    "device": f"{CHOSEN}, as in device=1",
    "divide_input": f"{CHOSEN}, as in device=[0,1]",
    "loop": f"{CHOSEN}, from tool.adapter.loop and benchmark.*",
    **dict.fromkeys(("warmup_count", "warmup-count"), f"{CHOSEN}, as in benchmark.warmup=3"),
    "pure_data_type": "inputs are always given, as benchmark.input says",
    **dict.fromkeys(("dymShape_range", "perf", "backend"), "it writes no outputs of the samples"),
    **dict.fromkeys(("pipeline", "threads"), "its summary does not say which output is which sample's"),
    **dict.fromkeys(("profiler", "profiler_rename"), f"{CHOSEN}, as in benchmark.profile=true"),
    **dict.fromkeys(("dump", "dump_npy"), OUTPUTS_REMOVED),
}
"""The flags that tool.arguments cannot give, with reasons."""
FILES = ("acl_json_path", "aipp_config")
"""The flags whose values are files."""


@dataclass(frozen=True, kw_only=True)
class AisBench(CommandLineTool):
    """`python` is the interpreter of the command line (mode cli); mode api uses this process instead."""

    NAME: ClassVar[str] = "ais_bench"
    SEVERAL_DEVICES: ClassVar[bool] = True
    PLACES: ClassVar[tuple[str, ...]] = ("python", "environment_script")

    python: str = "python3"
    mode: str = one_of("cli", "api", shown_as="tool.mode")

    def version(self) -> str:
        """Return text such as "ais_bench 0.0.2", from the interpreter that runs it; the answer is cached."""
        try:
            return f"ais_bench {self._installation().version}"
        except ToolError:
            return "ais_bench (not found)"

    def validate(self, placement: Placement, inputs: Sequence[TensorSpec] = ()) -> list[Problem]:
        """Return problems: settings out of range, invalid devices, and missing software on this host."""
        problems = self.setting_problems(placement)
        if self.mode == "api" and len(placement.devices) > 1:
            problems.append(
                Problem(
                    f"device is {list(placement.devices)}: tool.mode=api uses one device",
                    "give one device, or tool.mode=cli",
                )
            )
        if self.mode == "api" and self.host is not None:
            problems.append(
                Problem(f"tool.host={self.host}, and tool.mode=api runs in this process", "take tool.mode=cli")
            )
            return problems
        if self.mode == "api" and self.arguments:
            problems.append(
                Problem("tool.arguments are of the command line: tool.mode=api has none", "take tool.mode=cli")
            )
        return [*problems, *self._host_problems(placement)]

    def _host_problems(self, placement: Placement) -> list[Problem]:
        unreachable = self.unreachable()
        if unreachable:
            return unreachable
        problems = self.card_problems(placement)
        if self.mode == "api" and not cann.problems(self.environment_script) and not cann.is_here():
            fix = f"`source {self.environment_script}` before the runner, or tool.mode=cli"
            problems.append(Problem("tool.mode=api needs CANN in this process's own environment", fix))
        where = "this interpreter" if self.mode == "api" else f"tool.python={self.python}{self.whereabouts}"
        try:
            found = self._installation()
        except ToolError as error:
            return [*problems, error.problem]
        problems += installation.problems(found, where)
        if self.mode == "cli":
            problems += installation.command_line_problems(found, where, self.python)
            problems += arguments.problems(self.arguments, OWN_FLAGS, found.flags, FILES)
        return problems

    def path_problems(self, folder: Path) -> list[Problem]:
        """Return a problem if this ais_bench refuses the paths of files in this folder, or of those sent from it."""
        if self.mode == "api":
            return []
        folder = folder.resolve()
        try:
            there = folder if self.other_host is None else remote.work_folder(self.other_host, folder)
            return installation.path_problems(self._installation(), there)
        except ToolError:  # told by validate
            return []

    def measuring(self) -> Measuring:
        """Measures on the given inputs; in mode api in this process."""
        return Measuring(takes_inputs=True, in_process=self.mode == "api")

    def commands(self, paths: DryRunPaths, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """Return the commands of inference and measurement; none in mode api."""
        if self.mode == "api":
            return []
        repeated = repeating(max(self.loop, limits.min_iterations), limits.warmup)
        commands = [
            Command("infer", self._shown_argv(paths, paths.samples, placement, "infer")),
            Command("benchmark", (*self._shown_argv(paths, paths.one_batch, placement, "benchmark"), *repeated)),
        ]
        return self.shown(commands, paths)

    def _shown_argv(self, paths: DryRunPaths, root: Path, placement: Placement, name: str) -> tuple[str, ...]:
        inference = infer_argv(
            self.python,
            model=paths.model,
            folders=sample_files.folders_of(root, paths.inputs),
            output=paths.results,
            name=name,
            batch=paths.batch,
            devices=placement.devices,
        )
        return (*inference, *shapes.choice_shown(paths), *self._added(placement))

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the outputs of each batch by name [batch, ...], including padding.

        Raises:
            ToolError: the tool fails, hangs, or leaves outputs out.
        """
        if self.mode == "api":
            yield from infer_session.infer(model, placement, batches)
            return
        devices = len(placement.devices)

        def run(chunk: Chunk, results: Path) -> Finished:
            argv = self._argv(model, placement, chunk, results, "infer")
            return self.run(argv, "infer", results, self._read(model, chunk))

        def files_of(chunk: Chunk, results: Path) -> dict[str, tuple[Path, ...]]:
            return summary.outputs_by_input(summary.read(path) for path in summary.of_devices(results, devices))

        with self._readable(model, work) as model:
            yield from sample_files.infer(batches, model, work, run, files_of, devices)

    def timing(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """Return the host's times around the device call, judged for stable windows.

        Raises:
            ToolError: the tool fails, hangs, or its summary lacks the times.
        """
        if self.mode == "api":
            return infer_session.measure(model, placement, inputs, limits, self.version())
        summaries: list[Summary] = []
        attempts = itertools.count()
        devices = len(placement.devices)
        repeated = sample_files.repeated(inputs, model.inputs, model.batch, work, devices)
        with self._readable(model, work) as model, repeated as chunk:

            def once(iterations: int) -> tuple[int, float]:
                results = command_line.new_folder(work / f"measured{next(attempts)}")
                call = self._argv(model, placement, chunk, results, "benchmark")
                argv = (*call, *repeating(iterations, limits.warmup))
                finished = self.run(argv, "benchmark", results, self._read(model, chunk))
                with attributed_to(finished):
                    summaries[:] = [summary.measured(path) for path in summary.of_devices(results, devices)]
                shutil.rmtree(results)
                return min(summary.calls_of(each, iterations) for each in summaries), max(
                    each.mean_ms for each in summaries
                )

            reasons = long_enough(once, limits, self.loop)
        timing = summary.timing_of(
            summaries,
            batch=model.batch,
            warmup=limits.warmup,
            source=f"{self.version()} --loop, host clock around the device call (npu_compute_time_list)",
            reasons=reasons,
        )
        return in_windows(timing, limits)

    def profile_problems(self, placement: Placement) -> list[Problem]:
        """Return problems: mode api, or CANN's profiler is missing, without which ais_bench writes no tables."""
        if self.mode == "api":
            return [Problem("benchmark.profile is true, and tool.mode=api has no profiler", "take tool.mode=cli")]
        if self.other_host is not None:
            return []  # a missing profiler is told when it has run
        found = process.found("msprof", cann.known_environment(self.environment_script))
        return [] if found else [cann.missing("msprof", self.environment_script)]

    def profile_commands(self, paths: DryRunPaths, placement: Placement) -> list[Command]:
        """Return the command of a profile."""
        argv = self._shown_argv(paths, paths.one_batch, first_device(placement), "profile")
        return self.shown([Command("benchmark", (*argv, *PROFILING))], paths)

    def profile(
        self, model: CompiledModel, placement: Placement, inputs: Mapping[str, NDArray[Any]], work: Path
    ) -> tuple[OperatorTime, ...]:
        """Return the slowest operators, as msprof times them on the device, by `--profiler`.

        Raises:
            ToolError: the tool fails, or msprof writes no table.
        """
        repeated = sample_files.repeated(inputs, model.inputs, model.batch, work, 1)
        with self._readable(model, work) as model, repeated as chunk:
            results = command_line.new_folder(work / "profiled")
            argv = self._argv(model, first_device(placement), chunk, results, "profile")
            finished = self.run((*argv, *PROFILING), "benchmark", results, self._read(model, chunk))
            with attributed_to(finished):
                tables = [path.read_text(encoding="utf-8-sig") for path in op_summary.find(results)]
                return slowest(itertools.chain.from_iterable(map(op_summary.executions, tables)))

    def _argv(
        self, model: CompiledModel, placement: Placement, chunk: Chunk, results: Path, name: str
    ) -> tuple[str, ...]:
        inference = infer_argv(
            self.in_any_folder(self.python),
            model=model.path,
            folders=chunk.folders,
            output=results,
            name=name,
            batch=model.batch,
            devices=placement.devices,
        )
        return (*inference, *shapes.choice_of(model), *self._added(placement))

    def _added(self, placement: Placement) -> tuple[str, ...]:
        """Return the flags that depend on the installed line, and the user's."""
        try:
            divides = len(placement.devices) > 1 and self._installation().divides_inputs
        except ToolError:  # a dry run on a host without it
            divides = False
        return (*(("--divide_input", "1") if divides else ()), *arguments.flags(self.arguments, FILES))

    def _readable(self, model: CompiledModel, work: Path) -> AbstractContextManager[CompiledModel]:
        """Yield the model at a path that both lines read; another host gets a file of its own anyway."""
        if self.host is not None:
            return nullcontext(replace(model, path=model.path.resolve()))
        return model_files.readable(model, work)

    def _read(self, model: CompiledModel, chunk: Chunk) -> list[Path]:
        """Return the files and folders that a call reads."""
        return [*model_files.of(model), *chunk.folders, *arguments.paths(self.arguments, FILES).values()]

    def _installation(self) -> Installation:
        if self.mode == "api":
            return installation.here()
        if self.other_host is not None:
            return installation.there(self.other_host, self.python)
        return installation.of(self.python, cann.known_environment(self.environment_script))


def infer_argv(
    python: str,
    *,
    model: Path,
    folders: Sequence[Path],
    output: Path,
    name: str,
    batch: int,
    devices: Sequence[int],
) -> tuple[str, ...]:
    """Return the inference command; one folder per input, results in `output`/`name`. BIN, as TXT has six decimals."""
    return (
        *(python, "-m", "ais_bench"),
        *("--model", str(model)),
        *("--input", command_line.listed(folders)),
        *("--output", str(output)),
        *("--output_dirname", name),
        *("--outfmt", "BIN"),
        *("--batchsize", str(batch)),
        *("--device", ",".join(map(str, devices))),
    )


def repeating(loop: int, warmup: int) -> tuple[str, ...]:
    """Return the flags that turn an inference into a measurement."""
    return ("--loop", str(loop), "--warmup_count", str(warmup))


PROFILING = (*repeating(PROFILED_CALLS, 0), "--profiler", "1")
"""The flags that turn an inference into a profile; ais_bench starts itself anew under msprof, without warm-up."""

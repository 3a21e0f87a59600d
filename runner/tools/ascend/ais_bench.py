"""ais_bench, Ascend's inference tool: the command line, or the Python interface in this process.

Flags, output and files are those of version 0.0.2 (github.com/Ascend/tools at 9d6da90, folder
ais-bench_workload/tool/ais_bench), and for later versions of github.com/Ascend/msit and its API guide.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from runner.core import (
    Command,
    CompiledModel,
    Finished,
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
from runner.measure import MeasuringLimits, in_windows, long_enough, loops
from runner.tools import command_line
from runner.tools.ascend import _infer_session as infer_session
from runner.tools.ascend import _sample_files as sample_files
from runner.tools.ascend import _shapes as shapes
from runner.tools.ascend import _summary as summary
from runner.tools.ascend import cann
from runner.tools.ascend._command_line_tool import CommandLineTool
from runner.tools.ascend._sample_files import Chunk
from runner.tools.ascend._summary import Summary
from runner.tools.command_line import attributed_to, chips_note, chips_reported
from runner.tools.tool import DryRunPaths, Measuring

INSTALL = (
    "install the wheels aclruntime and ais_bench for that interpreter's Python version (see docs/ascend.md),"
    " or name the interpreter that has them: tool.python=PATH"
)
PROBE = """
import importlib.metadata, importlib.util, json
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
names = ("ais_bench", "aclruntime")
print(json.dumps({name: [importlib.util.find_spec(name) is not None, version(name)] for name in names}))
"""
PROBE_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Package:
    """Whether an interpreter can import a package, and the version of its distribution, if known."""

    importable: bool
    version: str | None

    def __str__(self) -> str:
        return (self.version or "(version unknown)") if self.importable else "(not found)"


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
            return f"ais_bench {self._packages()['ais_bench']}"
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
        return [*problems, *self._host_problems()]

    def _host_problems(self) -> list[Problem]:
        problems = cann.problems(self.environment_script)
        if self.mode == "api" and not problems and not cann.is_here():
            fix = f"`source {self.environment_script}` before the runner, or tool.mode=cli"
            problems.append(Problem("tool.mode=api needs CANN in this process's own environment", fix))
        try:
            packages = self._packages()
        except ToolError as error:
            return [*problems, error.problem]
        where = "this interpreter" if self.mode == "api" else f"tool.python={self.python}"
        absent = [name for name, package in packages.items() if not package.importable]
        return [*problems, *(Problem(f"{name} is not installed in {where}", INSTALL) for name in absent)]

    def measuring(self) -> Measuring:
        """Measures on the given inputs; in mode api in this process."""
        return Measuring(takes_inputs=True, in_process=self.mode == "api")

    def commands(self, paths: DryRunPaths, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """Return the commands of inference and measurement; none in mode api."""
        if self.mode == "api":
            return []

        def argv(root: Path, name: str) -> tuple[str, ...]:
            inference = infer_argv(
                self.python,
                model=paths.model,
                folders=sample_files.folders_of(root, paths.inputs),
                output=paths.results,
                name=name,
                batch=paths.batch,
                devices=placement.devices,
            )
            return (*inference, *shapes.choice(paths.inputs, paths.batch))

        repeated = repeating(loops(limits, self.loop), limits.warmup)
        return [
            Command("infer", argv(paths.samples, "infer")),
            Command("benchmark", (*argv(paths.one_batch, "benchmark"), *repeated)),
        ]

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
            return self.run(self._argv(model, placement, chunk, results, "infer"), "infer")

        def files_of(chunk: Chunk, results: Path) -> dict[str, tuple[Path, ...]]:
            return summary.outputs_by_input(summary.read(path) for path in summary_files(results, devices))

        yield from sample_files.infer(batches, model, work, run, files_of, devices)

    def measure(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """Measure calls on `inputs`.

        Raises:
            ToolError: the tool fails, hangs, or its summary lacks the times.
        """
        if self.mode == "api":
            return infer_session.measure(model, placement, inputs, limits, self.version())
        summaries: list[Summary] = []
        attempts = itertools.count()
        devices = len(placement.devices)
        with sample_files.repeated(inputs, model.inputs, model.batch, work, devices) as chunk:

            def once(iterations: int) -> tuple[int, float]:
                results = command_line.new_folder(work / f"measured{next(attempts)}")
                argv = self._argv(model, placement, chunk, results, "benchmark")
                finished = self.run((*argv, *repeating(iterations, limits.warmup)), "benchmark")
                with attributed_to(finished, "benchmark"):
                    summaries[:] = [summary.measured(path) for path in summary_files(results, devices)]
                shutil.rmtree(results)
                return min(calls_of(each, iterations) for each in summaries), max(each.mean_ms for each in summaries)

            reasons = long_enough(once, limits, self.loop)
        timing = timing_of(
            summaries,
            batch=model.batch,
            warmup=limits.warmup,
            source=f"{self.version()} --loop, host clock around the device call (npu_compute_time_list)"
            f"{chips_note(placement)}",
            reasons=reasons,
            chips=chips_reported(placement),
        )
        return in_windows(timing, limits)

    def _argv(
        self, model: CompiledModel, placement: Placement, chunk: Chunk, results: Path, name: str
    ) -> tuple[str, ...]:
        inference = infer_argv(
            self.python,
            model=model.path.resolve(),
            folders=chunk.folders,
            output=results,
            name=name,
            batch=model.batch,
            devices=placement.devices,
        )
        return (*inference, *shapes.choice_of(model))

    def _packages(self) -> dict[str, Package]:
        if self.mode == "api":
            return {name: _package_here(name) for name in ("ais_bench", "aclruntime")}
        return packages_of(self.python, cann.known_environment(self.environment_script))


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


def summary_files(output: Path, devices: int) -> list[Path]:
    """Return the summary files below `output`, one per device in order, beside the result folders.

    Raises:
        ToolError: their number differs from the devices'.
    """
    paths = sorted(output.rglob("*_summary.json"), key=lambda path: (len(path.name), path.name))
    if len(paths) != devices:
        raise ToolError(
            f"the tool wrote {len(paths)} summaries below {output} for {devices} device{'s' if devices > 1 else ''}",
            "it failed, perhaps without saying so: look into its log",
        )
    return paths


def calls_of(summary: Summary, asked: int) -> int:
    """Return the number of calls in a summary; `asked` if an old version does not report it."""
    if summary.latencies_ms:
        return len(summary.latencies_ms)
    return asked if summary.count is None else summary.count


def timing_of(
    summaries: Sequence[Summary], *, batch: int, warmup: int, source: str, reasons: tuple[str, ...], chips: int
) -> Timing:
    """Return one Timing of all devices: their latencies interleaved, or without latencies the mean of the means.

    Samples/s are then chips * 1000 * batch / mean: for equally fast parallel devices the sum of their rates, for
    unequal ones slightly less (0.8 % less at a difference of 20 %).
    """
    if all(each.latencies_ms for each in summaries):
        in_turns = itertools.zip_longest(*(each.latencies_ms for each in summaries))
        latencies_ms = tuple(latency for turn in in_turns for latency in turn if latency is not None)
        return Timing(
            batch=batch, latencies_ms=latencies_ms, warmup=warmup, source=source, reasons=reasons, chips=chips
        )
    mean_ms = sum(each.mean_ms for each in summaries) / len(summaries)
    counts = [each.count for each in summaries if each.count is not None]
    return Timing(
        batch=batch,
        latencies_ms=(),
        warmup=warmup,
        source=source,
        reasons=reasons,
        mean_ms=mean_ms,
        iterations=sum(counts) if counts else None,
        chips=chips,
    )


def packages_of(python: str, environment: Mapping[str, str] | None) -> dict[str, Package]:
    """Return the packages of another interpreter, cached while the interpreter and its environment are unchanged.

    Raises:
        ToolError: there is no such interpreter, or it fails.
    """
    place = process.found(python, environment)
    if place is None:
        raise ToolError(
            f"tool.python={python} is not there", "give the interpreter that has ais_bench, as a path or a name"
        )
    variables = tuple(sorted(environment.items())) if environment is not None else None
    return _asked(place, place.stat().st_mtime_ns, variables)


@functools.lru_cache(maxsize=8)
def _asked(place: Path, changed_ns: int, variables: tuple[tuple[str, str], ...] | None) -> dict[str, Package]:
    environment = dict(variables) if variables is not None else None
    finished = command_line.run(
        (str(place), "-c", PROBE),
        stage="preflight",
        name="ais_bench-version",
        timeout_seconds=PROBE_TIMEOUT_SECONDS,
        environment=environment,
    )
    try:
        answer = json.loads(finished.tail.splitlines()[-1])
        return {name: Package(importable, version) for name, (importable, version) in answer.items()}
    except (IndexError, ValueError, AttributeError, TypeError) as error:
        raise command_line.failed(finished, "preflight", f"{place} did not say which packages it has") from error


def _package_here(name: str) -> Package:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = None
    return Package(importlib.util.find_spec(name) is not None, version)

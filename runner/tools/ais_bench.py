"""ais_bench, Ascend's inference tool: its command line, or its Python interface in this process.

What it accepts, prints and writes is read off version 0.0.2 (github.com/Ascend/tools at 9d6da90, folder
ais-bench_workload/tool/ais_bench), and for later versions off github.com/Ascend/msit and its API guide.
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
from typing import Any

from numpy.typing import NDArray

from runner import process
from runner.artifacts import CompiledModel, Timing
from runner.batches import Batch
from runner.errors import Fault, ToolError
from runner.process import Finished
from runner.tools import (
    Command,
    Foreseen,
    Measuring,
    MeasuringLimits,
    Placement,
    command_line,
    infer_session,
    sample_files,
    summary,
)
from runner.tools.command_line import blamed_on, chips_note, chips_told
from runner.tools.sample_files import Chunk
from runner.tools.summary import Summary

MODES = ("cli", "api")
DEVICES = range(256)
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
    """Whether an interpreter finds a package, and the version that its distribution tells, if any."""

    importable: bool
    version: str | None

    def __str__(self) -> str:
        return (self.version or "(version unknown)") if self.importable else "(not found)"


@dataclass(frozen=True)
class AisBench:
    """`python` runs the command line (mode cli); mode api uses this process instead. `loop` calls are measured.

    `environment_script` is CANN's, sourced for the tool where the environment does not already have CANN.
    """

    python: str = "python3"
    mode: str = "cli"
    loop: int = 1000
    environment_script: str = "/usr/local/Ascend/ascend-toolkit/set_env.sh"
    timeout_seconds: float = 3600

    def version(self) -> str:
        """As in "ais_bench 0.0.2"; asks the interpreter that runs it, once, for the installed distribution."""
        try:
            return f"ais_bench {self._packages()['ais_bench']}"
        except ToolError:
            return "ais_bench (not found)"

    def neutral(self, stage: str) -> tuple[str, ...]:
        """Where it lives and how long it may take; for inference, how it is measured."""
        return (
            ("python", "environment_script", "timeout_seconds", "loop")
            if stage == "infer"
            else ("python", "environment_script", "timeout_seconds")
        )

    def faults(self, placement: Placement) -> list[Fault]:
        """Settings out of range, devices that there cannot be, and whatever is missing on this host."""
        return [*self._setting_faults(placement), *self._host_faults()]

    def _setting_faults(self, placement: Placement) -> list[Fault]:
        found = []
        if self.mode not in MODES:
            found.append(Fault(f"tool.mode is {self.mode!r}", f"give one of: {', '.join(MODES)}"))
        found += command_line.setting_faults(self.loop, self.timeout_seconds, placement, DEVICES)
        if self.mode == "api" and len(placement.devices) > 1:
            found.append(
                Fault(
                    f"device is {list(placement.devices)}: tool.mode=api uses one device",
                    "give one device, or tool.mode=cli",
                )
            )
        return found

    def _host_faults(self) -> list[Fault]:
        found = command_line.cann_faults(self.environment_script)
        if self.mode == "api" and not found and not command_line.cann_is_here():
            fix = f"`source {self.environment_script}` before the runner, or tool.mode=cli"
            found.append(Fault("tool.mode=api needs CANN in this process's own environment", fix))
        try:
            packages = self._packages()
        except ToolError as error:
            return [*found, Fault(error.message, error.fix)]
        where = "this interpreter" if self.mode == "api" else f"tool.python={self.python}"
        absent = [name for name, package in packages.items() if not package.importable]
        return [*found, *(Fault(f"{name} is not installed in {where}", INSTALL) for name in absent)]

    def measuring(self) -> Measuring:
        """On what it is given; in mode api here."""
        return Measuring(takes_inputs=True, in_process=self.mode == "api")

    def commands(self, foreseen: Foreseen, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """The inference and the measurement; none in mode api."""
        if self.mode == "api":
            return []

        def argv(root: Path, name: str) -> tuple[str, ...]:
            folders = sample_files.folders_of(root, foreseen.inputs)
            return infer_argv(
                self.python, foreseen.model, folders, foreseen.results, name, foreseen.batch, placement.devices
            )

        repeated = repeating(command_line.loops(limits, self.loop), limits.warmup)
        return [
            Command("infer", argv(foreseen.samples, "infer")),
            Command("benchmark", (*argv(foreseen.one_batch, "benchmark"), *repeated)),
        ]

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Outputs by name, [batch, ...] for each batch in order, padding included.

        Raises:
            ToolError: the tool fails, hangs, or leaves outputs out.
        """
        if self.mode == "api":
            yield from infer_session.infer(model, placement, batches)
            return
        devices = placement.devices

        def run(chunk: Chunk, results: Path) -> Finished:
            path = model.path.resolve()
            return self._run(
                infer_argv(self.python, path, chunk.folders, results, "infer", model.batch, devices), "infer"
            )

        def files_of(chunk: Chunk, results: Path) -> dict[str, tuple[Path, ...]]:
            return summary.outputs_by_input(summary.read(path) for path in summaries(results, len(devices)))

        yield from sample_files.infer(batches, model, work, run, files_of, len(devices))

    def measure(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """Many calls on `inputs`.

        Raises:
            ToolError: the tool fails, hangs, or its summary does not tell the times.
        """
        if self.mode == "api":
            return infer_session.measure(model, placement, inputs, limits, self.version())
        told: list[Summary] = []
        attempts = itertools.count()
        devices = placement.devices
        with sample_files.repeated(inputs, model.inputs, model.batch, work, len(devices)) as chunk:

            def once(iterations: int) -> tuple[int, float]:
                results = command_line.new_folder(work / f"measured{next(attempts)}")
                argv = infer_argv(
                    self.python, model.path.resolve(), chunk.folders, results, "benchmark", model.batch, devices
                )
                finished = self._run((*argv, *repeating(iterations, limits.warmup)), "benchmark")
                with blamed_on(finished, "benchmark"):
                    told[:] = [summary.measured(path) for path in summaries(results, len(devices))]
                shutil.rmtree(results)
                return min(calls_of(each, iterations) for each in told), max(each.mean_ms for each in told)

            reasons = command_line.long_enough(once, limits, self.loop)
        source = (
            f"{self.version()} --loop, host clock around the device call (npu_compute_time_list){chips_note(placement)}"
        )
        timing = timing_of(told, model.batch, limits.warmup, source, reasons, chips_told(placement))
        return command_line.in_windows(timing, limits)

    def _run(self, argv: Sequence[str], stage: str) -> Finished:
        return command_line.run(
            argv,
            stage=stage,
            name="ais_bench",
            timeout_seconds=self.timeout_seconds,
            environment=command_line.cann_environment(self.environment_script),
        )

    def _packages(self) -> dict[str, Package]:
        if self.mode == "api":
            return {name: _package_here(name) for name in ("ais_bench", "aclruntime")}
        return packages_of(self.python, command_line.known_environment(self.environment_script))


def infer_argv(
    python: str,
    model: Path,
    folders: Sequence[Path],
    output: Path,
    name: str,
    batch: int,
    devices: Sequence[int],
) -> tuple[str, ...]:
    """Inference on folders of files, one a model input; results in `output`/`name`. BIN: TXT keeps six decimals."""
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
    """What makes a measurement of an inference."""
    return ("--loop", str(loop), "--warmup_count", str(warmup))


def summaries(output: Path, devices: int) -> list[Path]:
    """The summaries below `output`, one a device, in the devices' order: siblings of the folders with the results.

    Raises:
        ToolError: there is another number of them.
    """
    found = sorted(output.rglob("*_summary.json"), key=lambda path: (len(path.name), path.name))
    if len(found) != devices:
        raise ToolError(
            f"the tool wrote {len(found)} summaries below {output} for {devices} device{'s' if devices > 1 else ''}",
            "it failed, perhaps without saying so: look into its log",
        )
    return found


def calls_of(told: Summary, asked: int) -> int:
    """How many calls a summary stands for; an old one does not tell and is taken at its word."""
    if told.latencies_ms:
        return len(told.latencies_ms)
    return asked if told.count is None else told.count


def timing_of(
    told: Sequence[Summary], batch: int, warmup: int, source: str, reasons: tuple[str, ...], chips: int
) -> Timing:
    """One Timing of all devices: the latencies of all calls in turns, or the mean of the devices' means without them.

    Samples/s then are chips * 1000 * batch / mean: of devices that work side by side the sum of the rates, were they
    equally fast; of unequal ones slightly less (at 20 % apart 0.8 %).
    """
    if all(each.latencies_ms for each in told):
        in_turns = itertools.zip_longest(*(each.latencies_ms for each in told))
        latencies_ms = tuple(latency for turn in in_turns for latency in turn if latency is not None)
        return Timing(batch, latencies_ms, warmup, source, reasons, chips=chips)
    mean_ms = sum(each.mean_ms for each in told) / len(told)
    counts = [each.count for each in told if each.count is not None]
    return Timing(batch, (), warmup, source, reasons, mean_ms, sum(counts) if counts else None, chips)


def packages_of(python: str, environment: Mapping[str, str] | None) -> dict[str, Package]:
    """What another interpreter finds; asked once for as long as it and its search path are the same.

    Raises:
        ToolError: there is no such interpreter, or it does not answer.
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

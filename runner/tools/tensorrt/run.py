"""TensorRT's trtexec as an inference tool, as for the T4 columns of the guides' tables.

Options, log and JSON files as in samples/trtexec in github.com/NVIDIA/TensorRT
(samples/common/sampleOptions.cpp and sampleReporting.cpp).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.core import (
    Command,
    CompiledModel,
    OperatorTime,
    Placement,
    Problem,
    TensorSpec,
    Timing,
    ToolError,
    bounded,
    bounds,
)
from runner.core.lazy import NDArray, np
from runner.data import Batch
from runner.measure import MeasuringLimits, first_calls, in_windows, planned_calls, too_short
from runner.tools import command_line
from runner.tools.command_line import MALFORMED, attributed_to
from runner.tools.profile import PROFILED_CALLS, slowest
from runner.tools.tensorrt import _profile as profiles
from runner.tools.tensorrt import build
from runner.tools.tool import DryRunPaths, Measuring

TIMES = "times.json"
OUTPUT = "output.json"
PROFILE = "profile.json"

_MEAN_8 = re.compile(r"GPU Compute Time:.*?\bmean = ([\d.eE+-]+) ms")
_SECTION_7 = re.compile(r"GPU Compute\s*$(.*?)mean: ([\d.eE+-]+) ms", re.MULTILINE | re.DOTALL)
LOOK = "look into trtexec's log in the run folder"
BUILD_AGAIN = "run again with force=[compile]"
_COUNTS = re.compile(r"Warmup completed (\d+) queries.*?Timing trace has (\d+) queries", re.DOTALL)
_NOT_FINITE = re.compile(r"(?<=[\[, ])(-?nan|-?inf)(?=[, \]])")
_SPELT_IN_PYTHON = {"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


@dataclass(frozen=True)
class Report:
    """A measurement in trtexec's log: the mean GPU time, and the numbers of calls; 0 if it does not report them.

    TensorRT 7 does not for models with an explicit batch, which all ONNX models have.
    """

    mean_ms: float
    warmup: int
    measured: int


@dataclass(frozen=True)
class Trtexec:
    """`warmup_ms` is the duration of trtexec's own warm-up."""

    timeout_seconds: float = bounded(600, above=0)
    warmup_ms: int = bounded(200, least=0)

    def version(self) -> str:
        """Return text such as "trtexec 8.5.1.7"."""
        return build.version()

    def excluded_from_key(self, stage: str) -> tuple[str, ...]:
        """Return the timeout; for inference, also the warm-up."""
        return ("timeout_seconds", "warmup_ms") if stage == "infer" else ("timeout_seconds",)

    def validate(self, placement: Placement, inputs: Sequence[TensorSpec] = ()) -> list[Problem]:
        """Return problems: a missing trtexec, several devices, settings out of range."""
        problems = [*build.missing(), *bounds.problems(self, "tool.adapter")]
        if len(placement.devices) != 1:
            devices = list(placement.devices)
            problems.append(Problem(f"device is {devices}: trtexec uses one", "give one, as in device=0"))
        return problems

    def measuring(self) -> Measuring:
        """Measures on its own random inputs."""
        return Measuring(takes_inputs=False, in_process=False)

    def commands(self, paths: DryRunPaths, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """Return the first command line of the inference, and that of the measurement."""
        loading = _loading(paths.model, paths.inputs, paths.batch, placement)
        results = paths.results
        return [
            Command("infer", (*loading, *_one_call(paths.inputs, results))),
            Command("benchmark", (*loading, *self._many_calls(limits), f"--exportTimes={results / TIMES}")),
        ]

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield outputs by name, [batch, ...]: one process per batch; trtexec writes six significant digits."""
        # Relative file names, since a comma in a path would end an entry of --loadInputs.
        argv = (
            *_loading(model.path.absolute(), model.inputs, model.batch, placement),
            *_one_call(model.inputs, Path()),
        )
        for batch in batches:
            for place, tensor in enumerate(model.inputs):
                values = batch.inputs[tensor.name].astype(tensor.dtype)
                (work / _input_file(place)).write_bytes(values.tobytes())
            (work / OUTPUT).unlink(missing_ok=True)
            finished = command_line.run(
                argv, stage="infer", name="trtexec", timeout_seconds=self.timeout_seconds, cwd=work
            )
            with attributed_to(finished):
                yield read_outputs(work / OUTPUT, model)

    def measure(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """Measure GPU compute time on trtexec's random inputs: raw times if exported, else the mean in its log.

        A few calls come first, from whose time follows whether the least number fits into `max_seconds`.
        """
        times = work.absolute() / TIMES
        loading = _loading(model.path, model.inputs, model.batch, placement)
        report = self._reported((*loading, *self._calls(first_calls(limits))))
        fitting = planned_calls(limits, report.mean_ms, limits.min_iterations)
        counted = self._calls(fitting) if fitting < limits.min_iterations else self._many_calls(limits)
        report = self._reported((*loading, *counted, f"--exportTimes={times}"))
        times_ms = read_times(times, self.warmup_ms)
        timing = Timing(
            batch=model.batch,
            latencies_ms=(),
            warmup=limits.warmup,
            source=f"{self.version()}, GPU Compute Time",
            reasons=(),
            chips=placement.chips,
        )
        if times_ms is None:
            calls, mean_ms = report.measured or limits.min_iterations, report.mean_ms
            reasons = too_short(limits, calls, mean_ms)
            return replace(timing, warmup=report.warmup, reasons=reasons, mean_ms=mean_ms, iterations=calls)
        latencies_ms = times_ms[min(max(0, limits.warmup - report.warmup), len(times_ms) - 1) :]
        reasons = too_short(limits, len(latencies_ms), float(np.mean(latencies_ms)))
        return in_windows(replace(timing, latencies_ms=latencies_ms, reasons=reasons), limits)

    def _reported(self, argv: tuple[str, ...]) -> Report:
        finished = command_line.run(argv, stage="benchmark", name="trtexec", timeout_seconds=self.timeout_seconds)
        with attributed_to(finished):
            return parse_log(finished.log.read_text(errors="replace"))

    def _calls(self, calls: int) -> tuple[str, ...]:
        return f"--warmUp={self.warmup_ms}", "--duration=0", f"--iterations={calls}"

    def profile_problems(self, placement: Placement) -> list[Problem]:
        """Return no problems."""
        return []

    def profile_commands(self, paths: DryRunPaths, placement: Placement) -> list[Command]:
        """Return the command line of the profile."""
        loading = _loading(paths.model, paths.inputs, paths.batch, placement)
        return [Command("benchmark", (*loading, *_profiling(paths.results)))]

    def profile(
        self, model: CompiledModel, placement: Placement, inputs: Mapping[str, NDArray[Any]], work: Path
    ) -> tuple[OperatorTime, ...]:
        """Return the slowest layers of the engine, on trtexec's random inputs."""
        argv = (*_loading(model.path, model.inputs, model.batch, placement), *_profiling(work.absolute()))
        finished = command_line.run(argv, stage="benchmark", name="trtexec", timeout_seconds=self.timeout_seconds)
        with attributed_to(finished):
            return slowest(profiles.layers(work / PROFILE))

    def _many_calls(self, limits: MeasuringLimits) -> tuple[str, ...]:
        # trtexec's warm-up may have fewer calls than required, so the first measured calls may count as warm-up.
        # A tenth more than min_seconds, since it measures the duration on the host, but GPU times count.
        return (
            f"--warmUp={self.warmup_ms}",
            f"--duration={1.1 * limits.min_seconds:.3g}",
            f"--iterations={limits.warmup + limits.min_iterations}",
        )


def parse_log(text: str) -> Report:
    """Read the log of TensorRT 8 and later (`GPU Compute Time: ... mean = X ms`) or 7 (`mean: X ms` under GPU Compute).

    Raises:
        ToolError: neither is found, or the mean is not a valid time.
    """
    match = _MEAN_8.search(text)
    section = _SECTION_7.search(text)
    value = match[1] if match else section[2] if section else None
    if value is None:
        raise ToolError(
            "trtexec's log has no GPU compute time (neither `GPU Compute Time: ... mean = X ms` nor `mean: X ms`)",
            "this version of TensorRT prints another format; use one of 7 to 10",
        )
    try:
        mean_ms = float(value)
    except ValueError:
        mean_ms = 0.0
    if not 0 < mean_ms < math.inf:
        raise ToolError(f"trtexec's log says that the mean GPU compute time is {value} ms", LOOK)
    counts = _COUNTS.search(text)
    return Report(mean_ms, int(counts[1]) if counts else 0, int(counts[2]) if counts else 0)


def read_times(path: Path, warmup_ms: int) -> tuple[float, ...] | None:
    """Return GPU compute times in ms, in order, from --exportTimes; None if the file or its entries are invalid.

    Up to TensorRT 8 the file includes warm-up calls, which start before `warmup_ms` and are dropped.
    """
    try:
        entries = json.loads(path.read_text())
        times = tuple(float(entry["computeMs"]) for entry in entries if entry["startComputeMs"] >= warmup_ms)
    except (OSError, *MALFORMED):
        return None
    return times if times and min(times) >= 0 and 0 < sum(times) < math.inf else None


def read_outputs(path: Path, model: CompiledModel) -> dict[str, NDArray[Any]]:
    """Return outputs by name from --exportOutput: [{"name", "dimensions": "8x1000", "values": [...]}].

    Raises:
        ToolError: the file is missing or truncated, or its outputs differ from the model's.
    """
    try:
        text = _NOT_FINITE.sub(lambda match: _SPELT_IN_PYTHON[match[1]], path.read_text())
        tensors = {entry["name"]: (entry["dimensions"], entry["values"]) for entry in json.loads(text)}
    except OSError as error:
        raise ToolError("trtexec ended with exit status 0 but wrote no outputs", LOOK) from error
    except MALFORMED as error:
        raise ToolError(f"the outputs that trtexec wrote cannot be read: {error}", LOOK) from error
    wanted = [tensor.name for tensor in model.outputs]
    if set(tensors) != set(wanted):
        raise ToolError(f"trtexec wrote the outputs {sorted(tensors)}, the model has {wanted}", BUILD_AGAIN)
    return {tensor.name: _array(tensor, *tensors[tensor.name], model.batch) for tensor in model.outputs}


def _array(tensor: TensorSpec, dimensions: str, values: list[float], batch: int) -> NDArray[Any]:
    try:
        shape = tuple(int(size) for size in dimensions.split("x"))
        array = np.asarray(values, np.float64).reshape(shape)
    except MALFORMED as error:
        raise ToolError(f"the output {tensor.name} that trtexec wrote is no array: {error}", LOOK) from error
    if shape[0] != batch:
        raise ToolError(
            f"the output {tensor.name} that trtexec wrote is {list(shape)}: not of batch {batch}", BUILD_AGAIN
        )
    return array.astype(tensor.dtype)


def _loading(model: Path, inputs: tuple[TensorSpec, ...], batch: int, placement: Placement) -> tuple[str, ...]:
    # An engine with a dynamic batch axis needs --shapes; one with fixed shapes ignores it.
    return (
        "trtexec",
        f"--loadEngine={model}",
        f"--shapes={build.shapes(inputs, batch)}",
        f"--device={placement.devices[0]}",
    )


def _one_call(inputs: tuple[TensorSpec, ...], folder: Path) -> tuple[str, ...]:
    files = ",".join(
        f"{build.quoted(tensor.name)}:{folder / _input_file(place)}" for place, tensor in enumerate(inputs)
    )
    return (
        f"--loadInputs={files}",
        "--warmUp=0",
        "--duration=0",
        "--iterations=1",
        f"--exportOutput={folder / OUTPUT}",
    )


def _profiling(results: Path) -> tuple[str, ...]:
    calls = ("--warmUp=0", "--duration=0", f"--iterations={PROFILED_CALLS}")
    return (*calls, f"--exportProfile={results / PROFILE}")


def _input_file(place: int) -> str:
    return f"input{place}.bin"

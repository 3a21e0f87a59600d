"""TensorRT's trtexec as an inference tool: the T4 columns of the guides' tables.

Options, the log and the JSON files are those of samples/trtexec in github.com/NVIDIA/TensorRT
(samples/common/sampleOptions.cpp and sampleReporting.cpp).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.artifacts import CompiledModel, TensorSpec, Timing
from runner.batches import Batch
from runner.compilers import trtexec as compiler
from runner.errors import Fault, ToolError
from runner.tools import Command, Foreseen, Measuring, MeasuringLimits, Placement, command_line
from runner.tools.command_line import blamed_on

TIMES = "times.json"
OUTPUT = "output.json"

_MEAN_8 = re.compile(r"GPU Compute Time:.*?\bmean = ([\d.eE+-]+) ms")
_SECTION_7 = re.compile(r"GPU Compute\s*$(.*?)mean: ([\d.eE+-]+) ms", re.MULTILINE | re.DOTALL)
_COUNTS = re.compile(r"Warmup completed (\d+) queries.*?Timing trace has (\d+) queries", re.DOTALL)
_NOT_FINITE = re.compile(r"(?<=[\[, ])(-?nan|-?inf)(?=[, \]])")
_SPELT_IN_PYTHON = {"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


@dataclass(frozen=True)
class Report:
    """What trtexec's log says of a measurement: the mean GPU time, and the numbers of calls; 0 where it counts none.

    TensorRT 7 counts none for a model with an explicit batch, which every ONNX model has.
    """

    mean_ms: float
    warmup: int
    measured: int


@dataclass(frozen=True)
class Trtexec:
    """`warmup_ms` is trtexec's own warm-up, which it counts in milliseconds."""

    timeout_seconds: float = 600
    warmup_ms: int = 200

    def version(self) -> str:
        """As in "trtexec 8.5.1.7"."""
        return compiler.version()

    def neutral(self, stage: str) -> tuple[str, ...]:
        """Where it lives and how long it may take; for inference, how it is measured."""
        return ("timeout_seconds", "warmup_ms") if stage == "infer" else ("timeout_seconds",)

    def faults(self, placement: Placement) -> list[Fault]:
        """A missing trtexec, several devices, settings out of range."""
        found = list(compiler.missing())
        if len(placement.devices) != 1:
            found.append(Fault(f"device is {list(placement.devices)}: trtexec uses one", "give one, as in device=0"))
        if not self.timeout_seconds > 0:
            found.append(Fault(f"tool.adapter.timeout_seconds is {self.timeout_seconds:g}", "give a number above 0"))
        if self.warmup_ms < 0:
            found.append(Fault(f"tool.adapter.warmup_ms is {self.warmup_ms}", "give 0 or more"))
        return found

    def measuring(self) -> Measuring:
        """On random inputs of its own."""
        return Measuring(takes_inputs=False, in_process=False)

    def commands(self, foreseen: Foreseen, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """The first of the inference's command lines, and the measurement's."""
        loading = _loading(foreseen.model, foreseen.inputs, foreseen.batch, placement)
        results = foreseen.results
        return [
            Command("infer", (*loading, *_one_call(foreseen.inputs, results))),
            Command("benchmark", (*loading, *self._many_calls(limits, results))),
        ]

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Outputs by name, [batch, ...]: a process a batch, and six significant digits, as trtexec writes JSON."""
        # Names in its working folder: a path with a comma would end an entry of --loadInputs.
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
            with blamed_on(finished, "infer"):
                yield read_outputs(work / OUTPUT, model)

    def measure(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """GPU compute time on trtexec's own random inputs, raw where it exports times, else the mean of its log."""
        work = work.absolute()
        argv = (
            *_loading(model.path, model.inputs, model.batch, placement),
            *self._many_calls(limits, work),
        )
        finished = command_line.run(argv, stage="benchmark", name="trtexec", timeout_seconds=self.timeout_seconds)
        with blamed_on(finished, "benchmark"):
            report = parse_log(finished.log.read_text(errors="replace"))
            times_ms = read_times(work / TIMES, self.warmup_ms)
        source = f"{self.version()}, GPU Compute Time"
        if times_ms is None:
            iterations = report.measured or limits.min_iterations
            reasons = command_line.too_short(limits, iterations, report.mean_ms)
            return Timing(
                model.batch,
                (),
                report.warmup,
                source,
                reasons,
                mean_ms=report.mean_ms,
                iterations=iterations,
                chips=placement.chips,
            )
        latencies_ms = times_ms[min(max(0, limits.warmup - report.warmup), len(times_ms) - 1) :]
        reasons = command_line.too_short(limits, len(latencies_ms), float(np.mean(latencies_ms)))
        timing = Timing(model.batch, latencies_ms, limits.warmup, source, reasons, chips=placement.chips)
        return command_line.in_windows(timing, limits)

    def _many_calls(self, limits: MeasuringLimits, results: Path) -> tuple[str, ...]:
        # trtexec's warm-up may hold fewer calls than asked for, so the first of the measured ones may have to serve.
        # A tenth more than min_seconds: its clock runs on the host, the times that count are the GPU's.
        return (
            f"--warmUp={self.warmup_ms}",
            f"--duration={1.1 * limits.min_seconds:.3g}",
            f"--iterations={limits.warmup + limits.min_iterations}",
            f"--exportTimes={results / TIMES}",
        )


def parse_log(text: str) -> Report:
    """Read the log of TensorRT 8 and later (`GPU Compute Time: ... mean = X ms`) or 7 (`mean: X ms` under GPU Compute).

    Raises:
        ToolError: neither is there, or the mean is no time.
    """
    found = _MEAN_8.search(text)
    section = _SECTION_7.search(text)
    value = found[1] if found else section[2] if section else None
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
        raise ToolError(f"trtexec's log says that the mean GPU compute time is {value} ms")
    counts = _COUNTS.search(text)
    return Report(mean_ms, int(counts[1]) if counts else 0, int(counts[2]) if counts else 0)


def read_times(path: Path, warmup_ms: int) -> tuple[float, ...] | None:
    """GPU compute times in ms, in order, from --exportTimes; None without the file or without such entries.

    Up to TensorRT 8 the file holds the warm-up's too: the calls that began before `warmup_ms` had passed.
    """
    try:
        entries = json.loads(path.read_text())
        times = tuple(float(entry["computeMs"]) for entry in entries if entry["startComputeMs"] >= warmup_ms)
    except (ArithmeticError, OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return times if times and min(times) >= 0 and 0 < sum(times) < math.inf else None


def read_outputs(path: Path, model: CompiledModel) -> dict[str, NDArray[Any]]:
    """Outputs by name from --exportOutput: [{"name", "dimensions": "8x1000", "values": [...]}].

    Raises:
        ToolError: no such file, a truncated one, or other outputs than the model's.
    """
    try:
        text = _NOT_FINITE.sub(lambda found: _SPELT_IN_PYTHON[found[1]], path.read_text())
        tensors = {entry["name"]: (entry["dimensions"], entry["values"]) for entry in json.loads(text)}
    except OSError as error:
        raise ToolError("trtexec ended with exit status 0 but wrote no outputs") from error
    except (ArithmeticError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ToolError(f"the outputs that trtexec wrote cannot be read: {error}") from error
    wanted = [tensor.name for tensor in model.outputs]
    if set(tensors) != set(wanted):
        raise ToolError(f"trtexec wrote the outputs {sorted(tensors)}, the model has {wanted}")
    return {tensor.name: _array(tensor, *tensors[tensor.name], model.batch) for tensor in model.outputs}


def _array(tensor: TensorSpec, dimensions: str, values: list[float], batch: int) -> NDArray[Any]:
    try:
        shape = tuple(int(size) for size in dimensions.split("x"))
        array = np.asarray(values, np.float64).reshape(shape)
    except (ArithmeticError, ValueError, TypeError, AttributeError) as error:
        raise ToolError(f"the output {tensor.name} that trtexec wrote is no array: {error}") from error
    if shape[0] != batch:
        raise ToolError(f"the output {tensor.name} that trtexec wrote is {list(shape)}: not of batch {batch}")
    return array.astype(tensor.dtype)


def _loading(model: Path, inputs: tuple[TensorSpec, ...], batch: int, placement: Placement) -> tuple[str, ...]:
    # An engine of a free batch axis needs --shapes; one of fixed shapes ignores it.
    return (
        "trtexec",
        f"--loadEngine={model}",
        f"--shapes={compiler.shapes(inputs, batch)}",
        f"--device={placement.devices[0]}",
    )


def _one_call(inputs: tuple[TensorSpec, ...], folder: Path) -> tuple[str, ...]:
    files = ",".join(
        f"{compiler.quoted(tensor.name)}:{folder / _input_file(place)}" for place, tensor in enumerate(inputs)
    )
    return (
        f"--loadInputs={files}",
        "--warmUp=0",
        "--duration=0",
        "--iterations=1",
        f"--exportOutput={folder / OUTPUT}",
    )


def _input_file(place: int) -> str:
    return f"input{place}.bin"

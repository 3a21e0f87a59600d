"""benchmark.x86_64 and benchmark.aarch64, the closed-source tool of CANN 5.0.1 (used in MoCo's guide).

Its flags follow the zoo's guides.
"""

from __future__ import annotations

import itertools
import os
import platform
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
from runner.measure import MeasuringLimits, long_enough
from runner.tools import command_line
from runner.tools.ascend import _arguments as arguments
from runner.tools.ascend import _benchmark_files as benchmark_files
from runner.tools.ascend import _model_files as model_files
from runner.tools.ascend import _sample_files as sample_files
from runner.tools.ascend._arguments import CHOSEN
from runner.tools.ascend._command_line_tool import CommandLineTool
from runner.tools.ascend._sample_files import Chunk
from runner.tools.command_line import attributed_to
from runner.tools.tool import DryRunPaths, Measuring

OWN_FLAGS = {
    **dict.fromkeys(("model_type", "om_path", "input_text_path", "input_width", "input_height"), CHOSEN),
    **dict.fromkeys(("useDvpp", "output_binary"), "outputs are read as the samples' own, in binary"),
    "batch_size": f"{CHOSEN}, as in batch=8",
    "device_id": f"{CHOSEN}, as in device=1",
    "round": f"{CHOSEN}, from tool.adapter.loop and benchmark.*",
}
"""The flags that tool.arguments cannot give, with reasons."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkTool(CommandLineTool):
    """`program` defaults to benchmark.x86_64 or benchmark.aarch64 on the PATH, according to this machine.

    `measured` is the data of a measurement: "pure" (its -round, on generated data) or "files" (real files, as for the
    guide's published figures).
    """

    NAME: ClassVar[str] = "benchmark"
    MEASURING: ClassVar[tuple[str, ...]] = ("loop", "measured")

    program: str | None = None
    measured: str = one_of("pure", "files")

    def version(self) -> str:
        """Return the program's digest, since it has no version."""
        return f"benchmark {self.digest_of(self._absolute()) or '(not found)'}"

    def validate(self, placement: Placement, inputs: Sequence[TensorSpec] = ()) -> list[Problem]:
        """Return problems: settings out of range, invalid devices, and missing software on this host."""
        problems = [*self.setting_problems(placement), *self.unreachable()]
        if self.host is not None and problems:
            return problems
        program = self._program()
        there = self.digest_of(self._absolute()) is not None
        if self.host is not None and self.program is None:
            problems.append(Problem(f"tool.program is not given{self.whereabouts}", "give its path on that host"))
        elif not there or (self.host is None and process.found(program) is None):
            problems.append(
                Problem(
                    f"tool.program={program} {'cannot be executed' if there else 'is not there'}{self.whereabouts}",
                    f"chmod u+x {program}" if there else "give its path (see docs/ascend.md), or tool=ais_bench",
                )
            )
        free = [tensor.name for tensor in inputs if tensor.is_free]
        if free:
            problems.append(
                Problem(
                    f"benchmark runs models of one shape, and sizes of {', '.join(free)} are free: it chooses no gear",
                    "take tool=ais_bench, or give the sizes in model.inputs",
                )
            )
        problems += arguments.problems(self.arguments, OWN_FLAGS)
        return [*problems, *self.card_problems(placement)]

    def measuring(self) -> Measuring:
        """Measures on its own generated data, or on files of the given inputs."""
        return Measuring(takes_inputs=self.measured == "files", in_process=False)

    def commands(self, paths: DryRunPaths, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """Return the commands of inference and measurement.

        Raises:
            ToolError: the model's input is not one image.
        """
        _, height, width = picture_shape(paths.inputs)
        program, device = self._program(), placement.devices[0]
        vision = vision_argv(
            program,
            model=paths.model,
            info=paths.samples / "samples.info",
            size=(height, width),
            batch=paths.batch,
            device=device,
        )
        rounds = max(self.loop, limits.min_iterations)
        pure = pure_argv(program, model=paths.model, batch=paths.batch, device=device, rounds=rounds)
        measurement = pure if self.measured == "pure" else vision
        added = self._added()
        return self.shown([Command("infer", (*vision, *added)), Command("benchmark", (*measurement, *added))], paths)

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the outputs of each batch by name [batch, ...], including padding.

        Raises:
            ToolError: the model's input is not one image, or the tool fails, hangs, or leaves outputs out.
        """
        device = placement.devices[0]
        picture_shape(model.inputs)

        def run(chunk: Chunk, folder: Path) -> Finished:
            argv = self._vision(model, device, [chunk.folders[0] / name for name in chunk.names], folder)
            sent = [*model_files.of(model), *chunk.folders, folder]
            return self.run((*argv, *self._added()), "infer", folder, sent)

        def files_of(chunk: Chunk, folder: Path) -> Mapping[str, Sequence[Path]]:
            return benchmark_files.dumped(folder / f"result/dumpOutput_device{device}", chunk.names)

        return sample_files.infer(batches, model, work, run, files_of)

    def timing(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """Return the mean time of a call on one chip, on the tool's own data or on files of `inputs`.

        It reports samples/s instead of the latency of a call (its "latency" is per sample), so the mean is derived:
        mean_ms = 1000 * batch / rate.

        Raises:
            ToolError: the tool fails, hangs, or does not report the rate.
        """
        measured: list[tuple[int, float]] = []  # calls, and the mean of a call in ms
        attempts = itertools.count()

        def once(iterations: int) -> tuple[int, float]:
            folder = command_line.new_folder(work / f"measured{next(attempts)}")
            rate, whole_rate = self._rates(model, placement.devices[0], inputs, iterations, folder)
            measured.append((iterations, 1000.0 * model.batch / rate))
            return iterations, 1000.0 * model.batch / whole_rate

        reasons = long_enough(once, limits, self.loop)
        iterations, mean_ms = measured[-1]
        what = "ave_throughputRate on made-up data" if self.measured == "pure" else "Interface throughputRate on files"
        return Timing(
            batch=model.batch,
            latencies_ms=(),
            warmup=0,
            source=f"{self.version()} {what}, mean = 1000 * batch / rate",
            reasons=reasons,
            mean_ms=mean_ms,
            iterations=iterations,
        )

    def _rates(
        self, model: CompiledModel, device: int, inputs: Mapping[str, NDArray[Any]], iterations: int, folder: Path
    ) -> tuple[float, float]:
        """Run the tool in an empty folder; return samples/s of the model, and with reading and preparing the files."""
        is_pure = self.measured == "pure"
        if is_pure:
            program, path = self._absolute(), model.path.resolve()
            argv = pure_argv(program, model=path, batch=model.batch, device=device, rounds=iterations)
            pattern = f"PureInfer_perf_of_*_in_device_{device}.txt"
        else:
            argv = self._vision(model, device, _write_batch(inputs, model, folder) * iterations, folder)
            pattern = f"perf_vision_batchsize_{model.batch}_device_{device}.txt"
        finished = self.run((*argv, *self._added()), "benchmark", folder, [*model_files.of(model), folder])
        with attributed_to(finished):
            path = command_line.the_only([*folder.glob(f"result/{pattern}")], f"files {folder / 'result' / pattern}")
            text = path.read_text(errors="replace")
            if is_pure:
                return (benchmark_files.pure_rate(text),) * 2
            return benchmark_files.interface_rate(text), benchmark_files.end_to_end_rate(text)

    def _vision(self, model: CompiledModel, device: int, files: Iterable[Path], folder: Path) -> tuple[str, ...]:
        """Write the list of files, as seen from `folder`, into it; return the inference command."""
        _, height, width = picture_shape(model.inputs)
        info = folder / "samples.info"
        paths = [Path(os.path.relpath(file, folder)) for file in files]
        info.write_text(benchmark_files.info_lines(paths, height, width))
        return vision_argv(
            self._absolute(),
            model=model.path.resolve(),
            info=info,
            size=(height, width),
            batch=model.batch,
            device=device,
        )

    def _added(self) -> tuple[str, ...]:
        return tuple(f"-{flag}={arguments.spelt(value)}" for flag, value in self.arguments.items())

    def _program(self) -> str:
        return self.program or f"benchmark.{platform.machine()}"

    def _absolute(self) -> str:
        """Return the program's absolute path, since it runs in another folder."""
        place = process.found(self._program()) if self.host is None else None
        return str(place.absolute()) if place else self._program()


def _write_batch(inputs: Mapping[str, NDArray[Any]], model: CompiledModel, folder: Path) -> list[Path]:
    """Write one batch below `folder`, one file per sample; return the files."""
    samples = command_line.new_folder(folder / "samples")
    paths = []
    for row, values in enumerate(sample_files.stored(inputs, model.inputs[0], model.batch)):
        paths.append(samples / f"{row:08d}.bin")
        sample_files.write(paths[-1], values.tobytes())
    return paths


def picture_shape(inputs: Sequence[TensorSpec]) -> tuple[int, int, int]:
    """Return [C, H, W] of the only input.

    Raises:
        ToolError: there are several, or it is not an image.
    """
    shapes = [tensor.shape for tensor in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 3:
        taken = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in inputs)
        raise ToolError(
            f"benchmark takes one picture [C, H, W], the model takes {taken}", "take another tool: tool=ais_bench"
        )
    channels, height, width = shapes[0]
    return channels, height, width


def vision_argv(
    program: str, *, model: Path, info: Path, size: tuple[int, int], batch: int, device: int
) -> tuple[str, ...]:
    """Return the command of inference on the files in `info`; `size` is (height, width)."""
    height, width = size
    return (
        program,
        "-model_type=vision",
        f"-batch_size={batch}",
        f"-device_id={device}",
        f"-input_text_path={info}",
        f"-input_width={width}",
        f"-input_height={height}",
        f"-om_path={model}",
        "-useDvpp=False",
        "-output_binary=True",
    )


def pure_argv(program: str, *, model: Path, batch: int, device: int, rounds: int) -> tuple[str, ...]:
    """Return the command of a measurement on generated data."""
    return (program, f"-round={rounds}", f"-om_path={model}", f"-batch_size={batch}", f"-device_id={device}")

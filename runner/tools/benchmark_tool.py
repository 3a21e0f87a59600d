"""benchmark.x86_64 and benchmark.aarch64, the closed tool of CANN 5.0.1 (MoCo's guide).

Its flags, files and figures are those of the guides (docs of the zoo): a `.info` line is `index path width height`,
outputs are `result/dumpOutput_device{N}/{stem}_{k}.bin` below the folder that it runs in, k from 1.
"""

from __future__ import annotations

import itertools
import math
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from runner import process
from runner.artifacts import CompiledModel, TensorSpec, Timing
from runner.batches import Batch
from runner.errors import Fault, ToolError
from runner.hashing import sha256_of
from runner.process import Finished
from runner.tools import Command, Foreseen, Measuring, MeasuringLimits, Placement, command_line, sample_files
from runner.tools.command_line import blamed_on, chips_note, chips_told
from runner.tools.sample_files import Chunk

MEASURED = ("pure", "files")
DEVICES = range(256)
NUMBER = r"(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
INTERFACE_RATE = re.compile(r"Interface throughputRate\s*[:=]\s*" + NUMBER)
PURE_RATE = re.compile(r"ave_throughputRate\s*[:=]\s*" + NUMBER)


@dataclass(frozen=True)
class BenchmarkTool:
    """`program` is ./benchmark.x86_64 or ./benchmark.aarch64, this machine's, unless told. `loop` batches are measured.

    `measured` is what a measurement runs on: "pure" (its -round, on made-up data) or "files" (real files, as the
    guide's published figures were made).
    """

    program: str | None = None
    loop: int = 1000
    measured: str = "pure"
    environment_script: str = "/usr/local/Ascend/ascend-toolkit/set_env.sh"
    timeout_seconds: float = 3600

    def version(self) -> str:
        """The program's digest: it tells no version."""
        place = process.found(self._program())
        return f"benchmark {sha256_of(place)[:12]}" if place else "benchmark (not found)"

    def neutral(self, stage: str) -> tuple[str, ...]:
        """Where it lives and how long it may take; for inference, how it is measured."""
        return (
            ("environment_script", "timeout_seconds", "loop", "measured")
            if stage == "infer"
            else ("environment_script", "timeout_seconds")
        )

    def faults(self, placement: Placement) -> list[Fault]:
        """Settings out of range, devices that there cannot be, and whatever is missing on this host."""
        found = command_line.setting_faults(self.loop, self.timeout_seconds, placement, DEVICES)
        if self.measured not in MEASURED:
            found.append(Fault(f"tool.adapter.measured is {self.measured!r}", f"give one of: {', '.join(MEASURED)}"))
        if len(placement.devices) > 1:
            found.append(
                Fault(
                    f"device is {list(placement.devices)}: {self._program()} uses one device",
                    "give one device, or tool=ais_bench",
                )
            )
        return [*found, *self._host_faults()]

    def _host_faults(self) -> list[Fault]:
        found = []
        program = self._program()
        if process.found(program) is None:
            there = Path(program).is_file()
            found.append(
                Fault(
                    f"tool.program={program} {'cannot be executed' if there else 'is not there'}",
                    f"chmod u+x {program}" if there else "give its path (see docs/ascend.md), or tool=ais_bench",
                )
            )
        return [*found, *command_line.cann_faults(self.environment_script)]

    def measuring(self) -> Measuring:
        """On made-up data of its own, or on files of what it is given."""
        return Measuring(takes_inputs=self.measured == "files", in_process=False)

    def commands(self, foreseen: Foreseen, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """The inference and the measurement.

        Raises:
            ToolError: the model takes something else than one picture.
        """
        _, height, width = picture_shape(foreseen.inputs)
        info = foreseen.samples / "samples.info"
        device = placement.devices[0]
        program = self._program()
        vision = vision_argv(program, foreseen.model, info, (height, width), foreseen.batch, device)
        pure = pure_argv(program, foreseen.model, foreseen.batch, device, command_line.loops(limits, self.loop))
        return [Command("infer", vision), Command("benchmark", pure if self.measured == "pure" else vision)]

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Outputs by name, [batch, ...] for each batch in order, padding included.

        Raises:
            ToolError: the model takes something else than one picture, or the tool fails, hangs, or leaves outputs out.
        """
        _, height, width = picture_shape(model.inputs)
        device = placement.devices[0]

        def run(chunk: Chunk, here: Path) -> Finished:
            info = here / "samples.info"
            info.write_text(info_lines([chunk.folders[0] / name for name in chunk.names], height, width))
            argv = vision_argv(self._absolute(), model.path.resolve(), info, (height, width), model.batch, device)
            return self._run(argv, "infer", here)

        def files_of(chunk: Chunk, here: Path) -> Mapping[str, Sequence[Path]]:
            return dumped(here / f"result/dumpOutput_device{device}", chunk.names)

        return sample_files.infer(batches, model, work, run, files_of)

    def measure(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """The rate of one chip, as the tool tells it, on its own data or on files of `inputs`.

        It tells a rate in samples/s and not one call's latency (its own "latency" is a sample's share of one), so the
        mean follows from it: mean_ms = 1000 * batch / rate.

        Raises:
            ToolError: the tool fails, hangs, or does not tell the rate.
        """
        asked: list[int] = []
        rates: list[float] = []
        attempts = itertools.count()

        def once(iterations: int) -> tuple[int, float]:
            here = command_line.new_folder(work / f"measured{next(attempts)}")
            device = placement.devices[0]
            if self.measured == "pure":
                argv = pure_argv(self._absolute(), model.path.resolve(), model.batch, device, iterations)
                perf, parse = f"PureInfer_perf_of_*_in_device_{device}.txt", pure_rate
            else:
                argv = self._files_argv(model, inputs, here, device, iterations)
                perf, parse = f"perf_vision_batchsize_{model.batch}_device_{device}.txt", interface_rate
            finished = self._run(argv, "benchmark", here)
            with blamed_on(finished, "benchmark"):
                rates[:] = [parse(the_file(here / "result", perf).read_text(errors="replace"))]
            asked[:] = [iterations]
            return iterations, 1000.0 * model.batch / rates[0]

        reasons = command_line.long_enough(once, limits, self.loop)
        what = "ave_throughputRate on made-up data" if self.measured == "pure" else "Interface throughputRate on files"
        return Timing(
            model.batch,
            (),
            0,
            f"{self.version()} {what}, mean = 1000 * batch / rate{chips_note(placement)}",
            reasons,
            1000.0 * model.batch / rates[0],
            asked[0],
            chips_told(placement),
        )

    def _files_argv(
        self, model: CompiledModel, inputs: Mapping[str, NDArray[Any]], here: Path, device: int, iterations: int
    ) -> tuple[str, ...]:
        """Files of one batch, named as often in the .info file as there are to be calls."""
        _, height, width = picture_shape(model.inputs)
        folder = command_line.new_folder(here / "samples")
        paths = []
        for row, values in enumerate(sample_files.stored(inputs, model.inputs[0], model.batch)):
            paths.append(folder / f"{row:08d}.bin")
            paths[-1].write_bytes(values.tobytes())
        info = here / "samples.info"
        info.write_text(info_lines(paths * iterations, height, width))
        return vision_argv(self._absolute(), model.path.resolve(), info, (height, width), model.batch, device)

    def _program(self) -> str:
        return self.program or f"./benchmark.{platform.machine()}"

    def _absolute(self) -> str:
        """It runs in a folder of its own, so a relative path must be made absolute."""
        place = process.found(self._program())
        return str(place.absolute()) if place else self._program()

    def _run(self, argv: Sequence[str], stage: str, here: Path) -> Finished:
        return command_line.run(
            argv,
            stage=stage,
            name="benchmark",
            timeout_seconds=self.timeout_seconds,
            environment=command_line.cann_environment(self.environment_script),
            cwd=here,
        )


def picture_shape(inputs: Sequence[TensorSpec]) -> tuple[int, int, int]:
    """[C, H, W] of the only input.

    Raises:
        ToolError: there are several, or it is no picture.
    """
    shapes = [tensor.shape for tensor in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 3:
        told = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in inputs)
        raise ToolError(
            f"benchmark takes one picture [C, H, W], the model takes {told}", "take another tool: tool=ais_bench"
        )
    channels, height, width = shapes[0]
    return channels, height, width


def info_lines(paths: Iterable[Path], height: int, width: int) -> str:
    """The `.info` file's text.

    Raises:
        ToolError: a path holds white space, which is what separates the fields.
    """
    lines = []
    for index, path in enumerate(paths):
        if re.search(r"\s", str(path)):
            raise ToolError(
                f"benchmark's .info file cannot name {path}: white space separates its fields",
                "give a cache_dir without white space in its path",
            )
        lines.append(f"{index} {path} {width} {height}\n")
    return "".join(lines)


def vision_argv(
    program: str, model: Path, info: Path, size: tuple[int, int], batch: int, device: int
) -> tuple[str, ...]:
    """Inference on the files of `info`; `size` is (height, width)."""
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


def pure_argv(program: str, model: Path, batch: int, device: int, rounds: int) -> tuple[str, ...]:
    """Pure inference."""
    return (program, f"-round={rounds}", f"-om_path={model}", f"-batch_size={batch}", f"-device_id={device}")


def dumped(folder: Path, names: Iterable[str]) -> dict[str, tuple[Path, ...]]:
    """A sample's outputs by its file's name, as far as they are there: `{stem}_{k}.bin`, k from 1."""
    there = {path.name: path for path in folder.glob("*.bin")} if folder.is_dir() else {}
    found = {}
    for name in names:
        stem = name.split(".")[0]
        paths: list[Path] = []
        while (output := there.get(f"{stem}_{len(paths) + 1}.bin")) is not None:
            paths.append(output)
        if paths:
            found[name] = tuple(paths)
    return found


def the_file(folder: Path, pattern: str) -> Path:
    """The one file that matches.

    Raises:
        ToolError: there is none, or there are several.
    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise ToolError(
            f"the tool wrote {len(found)} files {folder / pattern}, one was due",
            "it failed, perhaps without saying so: look into its log",
        )
    return found[0]


def interface_rate(text: str) -> float:
    """Samples/s of one chip in a perf_vision file: the last `[infer] ... Interface throughputRate`.

    Raises:
        ToolError: there is none.
    """
    return _rate(text, INTERFACE_RATE, "Interface throughputRate")


def pure_rate(text: str) -> float:
    """Samples/s of one chip in a PureInfer_perf file.

    Raises:
        ToolError: there is none.
    """
    return _rate(text, PURE_RATE, "ave_throughputRate")


def _rate(text: str, pattern: re.Pattern[str], name: str) -> float:
    found = pattern.findall(text)
    if not found or not 0 < float(found[-1]) < math.inf:
        raise ToolError(
            f"the perf file tells no {name}: {text[:200]!r}", "the tool failed, perhaps without saying so; see its log"
        )
    return float(found[-1])

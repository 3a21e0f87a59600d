"""ais_infer.py, the predecessor of ais_bench (used in DQN's guide).

Flags and files are those of github.com/Ascend/tools at 256ed1f, 63a74de and 4ce01e3 (June, September and November
2022), folder ais-bench_workload/tool/ais_infer: `--batchsize` defaults to 1, the summary is `sumary.json` (sic) inside
a folder named by the time (in the last one beside that folder, as in ais_bench), one device, a fixed number of warm-up
calls.
"""

from __future__ import annotations

import itertools
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
    bounded,
    process,
)
from runner.core.lazy import NDArray
from runner.data import Batch
from runner.measure import MeasuringLimits, in_windows, long_enough
from runner.tools import command_line
from runner.tools.ascend import _arguments as arguments
from runner.tools.ascend import _front_end as front_end
from runner.tools.ascend import _model_files as model_files
from runner.tools.ascend import _sample_files as sample_files
from runner.tools.ascend import _shapes as shapes
from runner.tools.ascend import _summary as summary
from runner.tools.ascend._arguments import CHOSEN, OUTPUTS_REMOVED
from runner.tools.ascend._command_line_tool import CommandLineTool
from runner.tools.ascend._sample_files import Chunk
from runner.tools.ascend._summary import Summary
from runner.tools.command_line import attributed_to
from runner.tools.tool import DryRunPaths, Measuring

WARMUP = 1
"""Its fixed number of warm-up calls: five at 256ed1f, one since."""
OWN_FLAGS = {
    **dict.fromkeys(("model", "om", "input", "output", "output_dirname", "outfmt"), CHOSEN),
    "dymBatch": f"{CHOSEN}, as in batch.gears=[1,4,8]",
    **dict.fromkeys(("dymHW", "dymDims"), f"{CHOSEN}, by the shapes of the samples"),
    **dict.fromkeys(("dymShape", "outputSize"), f"{CHOSEN}, as in tool.shapes=range"),
    "batchsize": f"{CHOSEN}, as in batch=8",
    **dict.fromkeys(("device", "device_id"), f"{CHOSEN}, as in device=1"),
    "loop": f"{CHOSEN}, from tool.adapter.loop and benchmark.*",
    "pure_data_type": "inputs are always given, as benchmark.input says",
    **dict.fromkeys(("profiler", "dump"), OUTPUTS_REMOVED),
}
"""The flags that tool.arguments cannot give, with reasons."""
FILES = ("acl_json_path",)
"""The flags whose values are files."""


@dataclass(frozen=True, kw_only=True)
class AisInfer(CommandLineTool):
    """`python` runs `script`; `loop` calls are measured (20 in DQN's guide). Otherwise as AisBench."""

    NAME: ClassVar[str] = "ais_infer"
    DEVICES: ClassVar[range] = range(255)
    """Its `choices=range(0, 255)`."""
    PLACES: ClassVar[tuple[str, ...]] = ("python", "environment_script")

    loop: int = bounded(20, least=1)
    python: str = "python3"
    script: str = "ais_infer.py"

    def version(self) -> str:
        """Return the script's digest, since it has no version."""
        return f"ais_infer {self.digest_of(self.script) or '(not found)'}"

    def validate(self, placement: Placement, inputs: Sequence[TensorSpec] = ()) -> list[Problem]:
        """Return problems: settings out of range, unsupported devices, and missing software on this host."""
        problems = [*self.setting_problems(placement), *self.unreachable()]
        if self.host is not None and problems:
            return problems
        if self.host is None and "/" not in self.script:  # a file of the folder where the user works, maybe
            problems.append(
                Problem(
                    f"tool.script={self.script} names no folder",
                    "give the path of ais_infer.py (see docs/ascend.md), as in tool.script=./ais_infer.py",
                )
            )
        elif self.digest_of(self.script) is None:
            problems.append(
                Problem(
                    f"tool.script={self.script} is not there{self.whereabouts}",
                    "give the path of ais_infer.py (see docs/ascend.md), or tool=ais_bench, which replaced it",
                )
            )
        if self.host is None and process.found(self.python) is None:
            problems.append(
                Problem(f"tool.python={self.python} is not there", "give the interpreter that has aclruntime")
            )
        problems += arguments.problems(self.arguments, OWN_FLAGS, front_end.flags_of(Path(self.script)), FILES)
        return [*problems, *self.card_problems(placement)]

    def measuring(self) -> Measuring:
        """Measures on the given inputs."""
        return Measuring(takes_inputs=True, in_process=False)

    def commands(self, paths: DryRunPaths, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """Return the commands of inference and measurement."""

        def argv(root: Path) -> tuple[str, ...]:
            inference = infer_argv(
                self.python,
                self.script,
                model=paths.model,
                folders=sample_files.folders_of(root, paths.inputs),
                output=paths.results,
                batch=paths.batch,
                device=placement.devices[0],
            )
            return (*inference, *shapes.choice_shown(paths), *arguments.flags(self.arguments, FILES))

        repeated = repeating(max(self.loop, limits.min_iterations))
        commands = [Command("infer", argv(paths.samples)), Command("benchmark", (*argv(paths.one_batch), repeated))]
        return self.shown(commands, paths)

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the outputs of each batch by name [batch, ...], including padding.

        Raises:
            ToolError: the tool fails, hangs, or leaves outputs out.
        """

        def run(chunk: Chunk, results: Path) -> Finished:
            return self.run(self._argv(model, placement, chunk, results), "infer", results, self._read(model, chunk))

        def files_of(chunk: Chunk, results: Path) -> dict[str, tuple[Path, ...]]:
            return summary.outputs_by_input([summary.read(summary_in(results))])

        return sample_files.infer(batches, model, work, run, files_of)

    def timing(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """Return the host's times around the device call, or their mean; the number of warm-up calls is fixed.

        Raises:
            ToolError: the tool fails, hangs, or its summary lacks the times.
        """
        measured: list[tuple[Summary, int]] = []
        attempts = itertools.count()
        with sample_files.repeated(inputs, model.inputs, model.batch, work) as chunk:

            def once(iterations: int) -> tuple[int, float]:
                results = command_line.new_folder(work / f"measured{next(attempts)}")
                argv = self._argv(model, placement, chunk, results)
                finished = self.run((*argv, repeating(iterations)), "benchmark", results, self._read(model, chunk))
                with attributed_to(finished):
                    measured.append((summary.measured(summary_in(results)), iterations))
                shutil.rmtree(results)
                return iterations, measured[-1][0].mean_ms

            reasons = long_enough(once, limits, self.loop)
        last, iterations = measured[-1]
        latencies_ms = last.latencies_ms if len(last.latencies_ms) == iterations else ()  # the oldest writes their mean
        timing = Timing(
            batch=model.batch,
            latencies_ms=latencies_ms,
            warmup=WARMUP,
            source=f"{self.version()} --loop, host clock around the device call",
            reasons=reasons,
            mean_ms=None if latencies_ms else last.mean_ms,
            iterations=None if latencies_ms else iterations,
        )
        return in_windows(timing, limits)

    def _read(self, model: CompiledModel, chunk: Chunk) -> list[Path]:
        """Return the files and folders that a call reads."""
        return [*model_files.of(model), *chunk.folders, *arguments.paths(self.arguments, FILES).values()]

    def _argv(self, model: CompiledModel, placement: Placement, chunk: Chunk, results: Path) -> tuple[str, ...]:
        inference = infer_argv(
            self.in_any_folder(self.python),
            self.script if self.host else str(Path(self.script).absolute()),
            model=model.path.resolve(),
            folders=chunk.folders,
            output=results,
            batch=model.batch,
            device=placement.devices[0],
        )
        return (*inference, *shapes.choice_of(model), *arguments.flags(self.arguments, FILES))


def infer_argv(
    python: str, script: str, *, model: Path, folders: Sequence[Path], output: Path, batch: int, device: int
) -> tuple[str, ...]:
    """Return the inference command; one folder per model input, `output` must exist."""
    return (
        *(python, script),
        f"--model={model}",
        *("--input", command_line.listed(folders)),
        *("--output", str(output)),
        *("--outfmt", "BIN"),
        *("--batchsize", str(batch)),
        *("--device", str(device)),
    )


def repeating(loop: int) -> str:
    """Return the flag that turns an inference into a measurement."""
    return f"--loop={loop}"


def summary_in(output: Path) -> Path:
    """Return the only summary below `output`: inside the folder named by the time, or beside it as in ais_bench.

    Raises:
        ToolError: there is none, or there are several.
    """
    paths = [*output.glob("*/sumary.json"), *output.glob("*_summary.json")]
    return command_line.the_only(paths, f"summaries below {output}")

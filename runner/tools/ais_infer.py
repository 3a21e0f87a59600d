"""ais_infer.py, the script that ais_bench grew out of (DQN's guide).

What it accepts and writes is read off github.com/Ascend/tools at 256ed1f, 63a74de and 4ce01e3 (June, September and
November 2022), folder ais-bench_workload/tool/ais_infer: `--batchsize` defaults to 1, the summary is `sumary.json` (so
spelt) inside a folder named by the time (the last: that folder's sibling, as in ais_bench), one device, warm-up calls
of its own.
"""

from __future__ import annotations

import itertools
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
from runner.hashing import sha256_of
from runner.process import Finished
from runner.tools import Command, Foreseen, Measuring, MeasuringLimits, Placement, command_line, sample_files, summary
from runner.tools.command_line import blamed_on, chips_note, chips_told
from runner.tools.sample_files import Chunk
from runner.tools.summary import Summary

DEVICES = range(255)
"""Its `choices=range(0, 255)`."""
WARMUP = 1
"""Its own warm-up calls: five at 256ed1f, one since."""


@dataclass(frozen=True)
class AisInfer:
    """`python` runs `script`; `loop` calls are measured (20 in DQN's guide). The rest as in AisBench."""

    python: str = "python3"
    script: str = "ais_infer.py"
    loop: int = 20
    environment_script: str = "/usr/local/Ascend/ascend-toolkit/set_env.sh"
    timeout_seconds: float = 3600

    def version(self) -> str:
        """The script's digest: it tells no version."""
        path = Path(self.script)
        return f"ais_infer {sha256_of(path)[:12]}" if path.is_file() else "ais_infer (not found)"

    def neutral(self, stage: str) -> tuple[str, ...]:
        """Where it lives and how long it may take; for inference, how it is measured."""
        return (
            ("python", "environment_script", "timeout_seconds", "loop")
            if stage == "infer"
            else ("python", "environment_script", "timeout_seconds")
        )

    def faults(self, placement: Placement) -> list[Fault]:
        """Settings out of range, devices that it would refuse, and whatever is missing on this host."""
        found = command_line.setting_faults(self.loop, self.timeout_seconds, placement, DEVICES)
        if len(placement.devices) > 1:
            found.append(
                Fault(
                    f"device is {list(placement.devices)}: ais_infer.py uses one device",
                    "give one device, or tool=ais_bench",
                )
            )
        return [*found, *self._host_faults()]

    def _host_faults(self) -> list[Fault]:
        found = []
        if not Path(self.script).is_file():
            found.append(
                Fault(
                    f"tool.script={self.script} is not there",
                    "give the path of ais_infer.py (see docs/ascend.md), or tool=ais_bench, which replaced it",
                )
            )
        if process.found(self.python) is None:
            found.append(Fault(f"tool.python={self.python} is not there", "give the interpreter that has aclruntime"))
        return [*found, *command_line.cann_faults(self.environment_script)]

    def measuring(self) -> Measuring:
        """On what it is given."""
        return Measuring(takes_inputs=True, in_process=False)

    def commands(self, foreseen: Foreseen, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """The inference and the measurement."""

        def argv(root: Path) -> tuple[str, ...]:
            folders = sample_files.folders_of(root, foreseen.inputs)
            device = placement.devices[0]
            return infer_argv(
                self.python, self.script, foreseen.model, folders, foreseen.results, foreseen.batch, device
            )

        repeated = repeating(command_line.loops(limits, self.loop))
        return [
            Command("infer", argv(foreseen.samples)),
            Command("benchmark", (*argv(foreseen.one_batch), repeated)),
        ]

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Outputs by name, [batch, ...] for each batch in order, padding included.

        Raises:
            ToolError: the tool fails, hangs, or leaves outputs out.
        """
        script, device = str(Path(self.script).absolute()), placement.devices[0]

        def run(chunk: Chunk, results: Path) -> Finished:
            path = model.path.resolve()
            return self._run(
                infer_argv(self.python, script, path, chunk.folders, results, model.batch, device), "infer"
            )

        def files_of(chunk: Chunk, results: Path) -> dict[str, tuple[Path, ...]]:
            return summary.outputs_by_input([summary.read(summary_in(results))])

        return sample_files.infer(batches, model, work, run, files_of)

    def measure(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """Many calls on `inputs`; its one warm-up call is its own.

        Raises:
            ToolError: the tool fails, hangs, or its summary does not tell the times.
        """
        told: list[Summary] = []
        asked: list[int] = []
        attempts = itertools.count()
        script = str(Path(self.script).absolute())
        device = placement.devices[0]
        with sample_files.repeated(inputs, model.inputs, model.batch, work) as chunk:

            def once(iterations: int) -> tuple[int, float]:
                results = command_line.new_folder(work / f"measured{next(attempts)}")
                argv = infer_argv(
                    self.python, script, model.path.resolve(), chunk.folders, results, model.batch, device
                )
                finished = self._run((*argv, repeating(iterations)), "benchmark")
                with blamed_on(finished, "benchmark"):
                    told[:] = [summary.measured(summary_in(results))]
                shutil.rmtree(results)
                # The oldest one's only entry is the mean of all calls.
                asked[:] = [iterations]
                return iterations, told[0].mean_ms

            reasons = command_line.long_enough(once, limits, self.loop)
        source = f"{self.version()} --loop, host clock around the device call{chips_note(placement)}"
        latencies_ms = told[0].latencies_ms if len(told[0].latencies_ms) == asked[0] else ()
        timing = Timing(
            model.batch,
            latencies_ms,
            WARMUP,
            source,
            reasons,
            mean_ms=None if latencies_ms else told[0].mean_ms,
            iterations=None if latencies_ms else asked[0],
            chips=chips_told(placement),
        )
        return command_line.in_windows(timing, limits)

    def _run(self, argv: Sequence[str], stage: str) -> Finished:
        return command_line.run(
            argv,
            stage=stage,
            name="ais_infer",
            timeout_seconds=self.timeout_seconds,
            environment=command_line.cann_environment(self.environment_script),
        )


def infer_argv(
    python: str, script: str, model: Path, folders: Sequence[Path], output: Path, batch: int, device: int
) -> tuple[str, ...]:
    """Inference on folders of files, one a model input; `output` must be there."""
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
    """What makes a measurement of an inference."""
    return f"--loop={loop}"


def summary_in(output: Path) -> Path:
    """The one summary below `output`: inside the folder named by the time, or its sibling as ais_bench has it.

    Raises:
        ToolError: there is none, or there are several.
    """
    found = [*output.glob("*/sumary.json"), *output.glob("*_summary.json")]
    if len(found) != 1:
        raise ToolError(
            f"the tool wrote {len(found)} summaries below {output}, one was due",
            "it failed, perhaps without saying so: look into its log",
        )
    return found[0]

"""ONNX Runtime, in this process."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from runner.artifacts import CompiledModel, Timing
from runner.batches import Batch
from runner.errors import Fault, ToolError
from runner.measuring import repeat
from runner.tools import Command, Foreseen, MeasuringLimits, Placement

PROVIDERS = {"cpu": "CPUExecutionProvider"}
"""Kind of SoC -> execution provider."""


@dataclass(frozen=True)
class OnnxRuntime:
    """`threads` is the number of threads within an operator; 0 lets ONNX Runtime use every core."""

    threads: int = 0

    def version(self) -> str:
        """As in "onnxruntime 1.31.1"."""
        return f"onnxruntime {importlib.metadata.version('onnxruntime')}"

    def faults(self, placement: Placement) -> list[Fault]:
        """A missing package, a negative number of threads, a device that the CPU does not have."""
        found = []
        if importlib.util.find_spec("onnxruntime") is None:
            found.append(Fault("onnxruntime is not installed", "pip install onnxruntime"))
        if self.threads < 0:
            found.append(
                Fault(f"tool.adapter.threads is {self.threads}", "give 0 for every core, or a number of threads")
            )
        if placement.devices != (0,):
            found.append(Fault(f"device is {list(placement.devices)}: the CPU is device 0", "leave device out"))
        return found

    def commands(self, foreseen: Foreseen, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """None: it runs in this process."""
        return []

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Outputs by name, [batch, ...]."""
        session = self._session(model, placement)
        names = [output.name for output in session.get_outputs()]
        for batch in batches:
            yield dict(zip(names, _run(session, names, batch.inputs), strict=True))

    def measure(
        self,
        model: CompiledModel,
        placement: Placement,
        inputs: Mapping[str, NDArray[Any]],
        limits: MeasuringLimits,
        work: Path,
    ) -> Timing:
        """Time `InferenceSession.run` on one batch."""
        session = self._session(model, placement)
        names = [output.name for output in session.get_outputs()]
        latencies_ms, reasons = repeat(lambda: _run(session, names, inputs), limits)
        source = f"{self.version()} {PROVIDERS[placement.kind]}, host clock around InferenceSession.run"
        return Timing(model.batch, latencies_ms, limits.warmup, source, reasons)

    def _session(self, model: CompiledModel, placement: Placement) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(str(model.path), options, providers=[PROVIDERS[placement.kind]])
        except Exception as error:  # its exceptions share no base class
            raise ToolError(
                f"ONNX Runtime cannot load {model.path}: {error}", "force=[export,simplify] redoes it"
            ) from error


def _run(session: Any, names: list[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    try:
        return session.run(names, dict(inputs))  # type: ignore[no-any-return]
    except Exception as error:  # its exceptions share no base class
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in inputs.items())
        raise ToolError(f"ONNX Runtime failed on {shapes}: {error}") from error

"""ONNX Runtime in this process."""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import Command, CompiledModel, Placement, Problem, TensorSpec, Timing, ToolError, bounded, bounds
from runner.core.environment import package_version
from runner.core.lazy import NDArray, onnxruntime
from runner.data import Batch
from runner.graph import onnx_files
from runner.measure import MeasuringLimits, peak_rss_bytes, repeat
from runner.tools.tool import DryRunPaths, Measuring

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Kind of SoC -> execution provider."""


@dataclass(frozen=True)
class OnnxRuntime:
    """`threads` is the number of threads within an operator; 0 lets ONNX Runtime use every core."""

    threads: int = bounded(0, least=0)

    def version(self) -> str:
        """Return text such as "onnxruntime 1.31.1"; onnxruntime-gpu is a separate distribution."""
        names = ("onnxruntime", "onnxruntime-gpu")
        installed = [f"{name} {version}" for name in names if (version := package_version(name))]
        return ", ".join(installed) or "onnxruntime (not installed)"

    def excluded_from_key(self, stage: str) -> tuple[str, ...]:
        """Return no arguments."""
        return ()

    def validate(self, placement: Placement, inputs: Sequence[TensorSpec] = ()) -> list[Problem]:
        """Return problems: a missing package or provider, negative threads, several devices, or the CPU as device 1."""
        problems = list(bounds.problems(self, "tool.adapter"))
        if importlib.util.find_spec("onnxruntime") is None:
            problems.append(Problem("onnxruntime is not installed", "pip install onnxruntime"))
        elif placement.kind == "cuda":
            problems += _cuda_problems()
        if len(placement.devices) != 1 or (placement.kind == "cpu" and placement.devices != (0,)):
            devices = list(placement.devices)
            problems.append(
                Problem(f"device is {devices}: ONNX Runtime runs on one, and the CPU is 0", "give one device")
            )
        return problems

    def measuring(self) -> Measuring:
        """Measures on the given inputs, in this process."""
        return Measuring(takes_inputs=True, in_process=True)

    def commands(self, paths: DryRunPaths, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """Return no commands, since it runs in this process."""
        return []

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield outputs by name, [batch, ...]."""
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
        """Measure `InferenceSession.run` on one batch; the load time is that of creating the session."""
        importlib.import_module("onnxruntime")  # not part of the load time
        start = time.perf_counter()
        session = self._session(model, placement)
        load_ms = 1000.0 * (time.perf_counter() - start)
        names = [output.name for output in session.get_outputs()]
        measured = repeat(lambda: _run(session, names, inputs), limits)
        return Timing(
            batch=model.batch,
            latencies_ms=measured.latencies_ms,
            warmup=limits.warmup,
            source=f"{self.version()} {PROVIDERS[placement.kind]}, host clock around InferenceSession.run",
            reasons=measured.reasons,
            settled_after=measured.settled_after,
            load_ms=load_ms,
            first_call_ms=measured.first_call_ms,
            peak_rss_bytes=peak_rss_bytes(),
        )

    def _session(self, model: CompiledModel, placement: Placement) -> Any:
        provider = PROVIDERS[placement.kind]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        chosen = (provider, {"device_id": placement.devices[0]}) if placement.kind == "cuda" else provider
        try:
            session = onnxruntime.InferenceSession(
                str(model.path), options, providers=[chosen], disabled_optimizers=onnx_files.MISTAKEN_OPTIMIZERS
            )
        except Exception as error:  # its exceptions have no common base class
            fix = "force=[export,simplify] redoes it"
            raise ToolError(f"ONNX Runtime cannot load {model.path}: {error}", fix) from error
        if session.get_providers()[0] != provider:  # it silently falls back to the CPU
            raise ToolError(
                f"ONNX Runtime could not start {provider} and would run on {session.get_providers()[0]}",
                "install the CUDA and cuDNN libraries that onnxruntime-gpu asks for, or choose soc=cpu",
            )
        return session


def _cuda_problems() -> list[Problem]:
    available = onnxruntime.get_available_providers()
    if PROVIDERS["cuda"] in available:
        return []
    return [
        Problem(
            f"this ONNX Runtime has no {PROVIDERS['cuda']}; it has {', '.join(available)}",
            "pip uninstall onnxruntime && pip install onnxruntime-gpu, or choose soc=cpu",
        )
    ]


def _run(session: Any, names: list[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    try:
        return session.run(names, dict(inputs))  # type: ignore[no-any-return]
    except Exception as error:  # its exceptions have no common base class
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in inputs.items())
        raise ToolError(f"ONNX Runtime failed on {shapes}: {error}") from error

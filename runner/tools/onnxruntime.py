"""ONNX Runtime, in this process."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from runner import onnx_files
from runner.artifacts import CompiledModel, Timing
from runner.batches import Batch
from runner.environment import package_version
from runner.errors import Fault, ToolError
from runner.machine_state import peak_rss_bytes
from runner.measuring import repeat
from runner.tools import Command, Foreseen, Measuring, MeasuringLimits, Placement

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Kind of SoC -> execution provider."""


@dataclass(frozen=True)
class OnnxRuntime:
    """`threads` is the number of threads within an operator; 0 lets ONNX Runtime use every core."""

    threads: int = 0

    def version(self) -> str:
        """As in "onnxruntime 1.31.1"; onnxruntime-gpu is a distribution of its own."""
        names = ("onnxruntime", "onnxruntime-gpu")
        installed = [f"{name} {version}" for name in names if (version := package_version(name))]
        return ", ".join(installed) or "onnxruntime (not installed)"

    def neutral(self, stage: str) -> tuple[str, ...]:
        """None."""
        return ()

    def faults(self, placement: Placement) -> list[Fault]:
        """A missing package or provider, a negative number of threads, several devices, or the CPU as device 1."""
        found = []
        if importlib.util.find_spec("onnxruntime") is None:
            found.append(Fault("onnxruntime is not installed", "pip install onnxruntime"))
        elif placement.kind == "cuda":
            found += _cuda_faults()
        if self.threads < 0:
            message = f"tool.adapter.threads is {self.threads}"
            found.append(Fault(message, "give 0 for every core, or a number of threads"))
        if len(placement.devices) != 1 or (placement.kind == "cpu" and placement.devices != (0,)):
            found.append(
                Fault(
                    f"device is {list(placement.devices)}: ONNX Runtime runs on one, and the CPU is 0",
                    "give one device",
                )
            )
        return found

    def measuring(self) -> Measuring:
        """On what it is given, here."""
        return Measuring(takes_inputs=True, in_process=True)

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
        """Time `InferenceSession.run` on one batch; the load time is that of building the session."""
        importlib.import_module("onnxruntime")  # which is no part of the load time
        start = time.perf_counter()
        session = self._session(model, placement)
        load_ms = 1000.0 * (time.perf_counter() - start)
        names = [output.name for output in session.get_outputs()]
        measured = repeat(lambda: _run(session, names, inputs), limits)
        return Timing(
            model.batch,
            measured.latencies_ms,
            limits.warmup,
            f"{self.version()} {PROVIDERS[placement.kind]}, host clock around InferenceSession.run",
            measured.reasons,
            settled_after=measured.settled_after,
            load_ms=load_ms,
            first_call_ms=measured.first_call_ms,
            peak_rss_bytes=peak_rss_bytes(),
        )

    def _session(self, model: CompiledModel, placement: Placement) -> Any:
        import onnxruntime

        provider = PROVIDERS[placement.kind]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        chosen = (provider, {"device_id": placement.devices[0]}) if placement.kind == "cuda" else provider
        try:
            session = onnxruntime.InferenceSession(
                str(model.path), options, providers=[chosen], disabled_optimizers=onnx_files.MISTAKEN_OPTIMIZERS
            )
        except Exception as error:  # its exceptions share no base class
            fix = "force=[export,simplify] redoes it"
            raise ToolError(f"ONNX Runtime cannot load {model.path}: {error}", fix) from error
        if session.get_providers()[0] != provider:  # it falls back to the CPU without a word
            raise ToolError(
                f"ONNX Runtime could not start {provider} and would run on {session.get_providers()[0]}",
                "install the CUDA and cuDNN libraries that onnxruntime-gpu asks for, or choose soc=cpu",
            )
        return session


def _cuda_faults() -> list[Fault]:
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if PROVIDERS["cuda"] in available:
        return []
    return [
        Fault(
            f"this ONNX Runtime has no {PROVIDERS['cuda']}; it has {', '.join(available)}",
            "pip uninstall onnxruntime && pip install onnxruntime-gpu, or choose soc=cpu",
        )
    ]


def _run(session: Any, names: list[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    try:
        return session.run(names, dict(inputs))  # type: ignore[no-any-return]
    except Exception as error:  # its exceptions share no base class
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in inputs.items())
        raise ToolError(f"ONNX Runtime failed on {shapes}: {error}") from error

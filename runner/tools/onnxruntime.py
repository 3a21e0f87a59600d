"""ONNX Runtime in this process."""

from __future__ import annotations

import importlib
import importlib.util
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    core_count,
)
from runner.core.environment import package_version
from runner.core.lazy import NDArray, onnxruntime
from runner.data import Batch
from runner.data.batches import at_once
from runner.graph import running
from runner.measure import MeasuringLimits, peak_rss_bytes, repeat
from runner.tools import _onnxruntime_options as onnxruntime_options
from runner.tools import _onnxruntime_profile as onnxruntime_profile
from runner.tools.profile import PROFILED_CALLS, slowest
from runner.tools.tool import DryRunPaths, Measuring

CPU, CUDA, CANN = "CPUExecutionProvider", "CUDAExecutionProvider", "CANNExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": CUDA, "ascend": CANN}
"""Kind of SoC -> execution provider."""
INSTALLATION = {
    CUDA: "pip uninstall onnxruntime && pip install onnxruntime-gpu",
    TENSORRT: "pip uninstall onnxruntime && pip install onnxruntime-gpu, and install TensorRT",
    CANN: "pip uninstall onnxruntime && pip install onnxruntime-cann, for CANN 8.2 or later, and `source` CANN's "
    "set_env.sh before the runner",
}
"""What to do where an execution provider is missing."""
DEVICE_PROVIDERS = frozenset(INSTALLATION)
"""The execution providers that run on a device chosen by `device_id`."""
MOST_THREADS = 1024
"""ONNX Runtime starts all of them as it loads a model."""
NO_FALLBACK = "session.disable_cpu_ep_fallback"
"""The session option with which nodes that a provider does not take are an error, instead of running on the CPU."""


@dataclass(frozen=True)
class OnnxRuntime:
    """`threads` is the number of threads that compute; 0 for as many as there are cores.

    While a batch is measured, all of them share each operator. Where all samples are run on the CPU, two batches are
    worked on at once, so that one computes while the other waits for its threads to meet or for its inputs.

    `provider` is the execution provider; None takes that of the kind of SoC. `provider_options` are its options by
    name, without device_id. `session_options` are attributes of onnxruntime.SessionOptions by name, enumerations by
    their members' names, and session configuration entries, whose names have a dot.
    """

    threads: int = bounded(0, least=0, most=MOST_THREADS)
    provider: str | None = None
    provider_options: Mapping[str, Any] = field(default_factory=dict)
    session_options: Mapping[str, Any] = field(default_factory=dict)

    def version(self) -> str:
        """Return text such as "onnxruntime 1.31.1"; those for other devices are separate distributions."""
        names = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-cann")
        installed = [f"{name} {version}" for name in names if (version := package_version(name))]
        toolkit = os.environ.get("ASCEND_TOOLKIT_HOME")
        if toolkit and package_version("onnxruntime-cann"):
            installed.append(f"CANN in {Path(toolkit).resolve()}")  # a folder a version
        return ", ".join(installed) or "onnxruntime (not installed)"

    def excluded_from_key(self, stage: str) -> tuple[str, ...]:
        """Return no arguments."""
        return ()

    def validate(self, placement: Placement, inputs: Sequence[TensorSpec] = ()) -> list[Problem]:
        """Return problems: a missing package or provider, wrong options, several devices, or the CPU as device 1."""
        problems = list(bounds.problems(self, "tool.adapter"))
        if importlib.util.find_spec("onnxruntime") is None:
            problems.append(Problem("onnxruntime is not installed", "pip install onnxruntime"))
        else:
            problems += [
                *self._provider_problems(placement),
                *onnxruntime_options.session_problems(self.session_options),
            ]
        if len(placement.devices) != 1 or (placement.kind == "cpu" and placement.devices != (0,)):
            devices = list(placement.devices)
            problems.append(
                Problem(f"device is {devices}: ONNX Runtime runs on one, and the CPU is 0", "give one device")
            )
        return problems

    def measuring(self) -> Measuring:
        """Measures on the given inputs, in this process, with their copies to a device and back."""
        return Measuring(takes_inputs=True, in_process=True, includes_copies=True)

    def commands(self, paths: DryRunPaths, placement: Placement, limits: MeasuringLimits) -> list[Command]:
        """Return no commands, since it runs in this process."""
        return []

    def infer(
        self, model: CompiledModel, placement: Placement, batches: Iterable[Batch], work: Path
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield outputs by name, [batch, ...]."""
        threads = self.threads or core_count()
        takes_two = self._provider(placement) == CPU and threads > 1
        # A thread that asks for a batch computes it, together with the session's other threads.
        tool = replace(self, threads=threads - 1) if takes_two else self
        session = tool._session(model, placement)
        names = [output.name for output in session.get_outputs()]

        def outputs(batch: Batch) -> dict[str, NDArray[Any]]:
            return dict(zip(names, _run(session, names, batch.inputs), strict=True))

        return at_once(batches, outputs, 2) if takes_two else map(outputs, batches)

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
            warmup=measured.warmup,
            source=f"{self.version()} {self._provider(placement)}, host clock around InferenceSession.run",
            reasons=measured.reasons,
            settled_after=measured.settled_after,
            load_ms=load_ms,
            first_call_ms=measured.first_call_ms,
            peak_rss_bytes=peak_rss_bytes(),
        )

    def profile_problems(self, placement: Placement) -> list[Problem]:
        """Return no problems."""
        return []

    def profile_commands(self, paths: DryRunPaths, placement: Placement) -> list[Command]:
        """Return no commands, since it runs in this process."""
        return []

    def profile(
        self, model: CompiledModel, placement: Placement, inputs: Mapping[str, NDArray[Any]], work: Path
    ) -> tuple[OperatorTime, ...]:
        """Return the slowest operators of the optimised graph, as ONNX Runtime's own profiler times them."""
        session = self._session(model, placement, profile=work / "profile")
        names = [output.name for output in session.get_outputs()]
        for _ in range(PROFILED_CALLS):
            _run(session, names, inputs)
        text = Path(session.end_profiling()).read_text(encoding="utf-8")
        return slowest(onnxruntime_profile.executions(text))

    def _provider(self, placement: Placement) -> str:
        return self.provider or PROVIDERS[placement.kind]

    def _provider_problems(self, placement: Placement) -> Iterator[Problem]:
        provider, is_cpu = self._provider(placement), placement.kind == "cpu"
        if (provider == CPU and not is_cpu) or (provider in DEVICE_PROVIDERS and is_cpu):
            yield Problem(f"tool.adapter.provider={provider} does not run on soc={placement.soc}", "leave it out")
            return
        if self.provider_options and provider == CPU:
            yield Problem(f"tool.provider_options: {CPU} has none", "leave them out")
        if "device_id" in self.provider_options:
            yield Problem("tool.provider_options.device_id is given", "give device=N instead")
        yield from onnxruntime_options.value_problems("provider_options", self.provider_options)
        if provider != CPU and not _is_there(provider):
            fix = INSTALLATION.get(provider) or f"choose from {', '.join(onnxruntime.get_available_providers())}"
            yield Problem(f"this ONNX Runtime has no {provider}", fix)

    def _options(self, provider: str, profile: Path | None) -> Any:
        """Return the SessionOptions; nodes that a provider does not take do not fall back to the CPU silently.

        CUDA's are left to ONNX Runtime, which keeps the arithmetic of shapes on the CPU on purpose.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        no_fallback = {} if provider in (CPU, CUDA) else {NO_FALLBACK: True}
        onnxruntime_options.apply(options, no_fallback | dict(self.session_options))
        return options

    def _session(self, model: CompiledModel, placement: Placement, profile: Path | None = None) -> Any:
        provider = self._provider(placement)
        device = {"device_id": str(placement.devices[0])} if provider in DEVICE_PROVIDERS else {}
        chosen = (
            provider,
            device | {name: onnxruntime_options.text(value) for name, value in self.provider_options.items()},
        )
        try:
            session = onnxruntime.InferenceSession(
                str(model.path),
                self._options(provider, profile),
                providers=[chosen],
                disabled_optimizers=running.MISTAKEN_OPTIMIZERS,
                enable_fallback=0,  # to another provider, where this one fails
            )
        except Exception as error:  # its exceptions have no common base class
            raise ToolError(
                f"ONNX Runtime cannot load {model.path} with {provider}: {error}",
                self._loading_fix(provider, str(error)),
            ) from error
        if session.get_providers()[0] != provider:  # it silently falls back to the CPU
            raise ToolError(
                f"ONNX Runtime could not start {provider} and would run on {session.get_providers()[0]}",
                f"install the libraries that it asks for ({INSTALLATION.get(provider, provider)}), or choose soc=cpu",
            )
        return session

    def _loading_fix(self, provider: str, error: str) -> str:
        if "fallback to CPU EP has been explicitly disabled" in error:
            return (
                f"{provider} does not take some nodes: '+tool.session_options={{{NO_FALLBACK}: false}}' lets the CPU "
                "run them, and log_severity_level: 0 beside it has ONNX Runtime name them"
            )
        if "option" in error and self.provider_options:
            return f"correct tool.provider_options ({', '.join(self.provider_options)})"
        return "force=[export,simplify] redoes it"


def _is_there(provider: str) -> bool:
    """Return whether the installed ONNX Runtime has a provider; the files of a wheel tell it without an import."""
    spec = importlib.util.find_spec("onnxruntime")
    folders = (spec.submodule_search_locations if spec else None) or []
    libraries = [path.name for folder in folders for path in Path(folder, "capi").glob("*onnxruntime_providers_*")]
    if provider in DEVICE_PROVIDERS and libraries:
        library = f"onnxruntime_providers_{provider.removesuffix('ExecutionProvider').lower()}."
        return any(library in name for name in libraries)
    return provider in onnxruntime.get_available_providers()


def _run(session: Any, names: list[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    try:
        return session.run(names, dict(inputs))  # type: ignore[no-any-return]
    except Exception as error:  # its exceptions have no common base class
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in inputs.items())
        raise ToolError(
            f"ONNX Runtime failed on {shapes}: {error}",
            "if the network takes only sizes that are multiples of some number, set model.preprocess.multiple; "
            "otherwise look for the operator with python -m runner.debug",
        ) from error

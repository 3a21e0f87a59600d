"""The schema of result.json, for writing and reading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from runner.core import (
    Command,
    ComparedAccuracy,
    Fidelity,
    Figure,
    OperatorTime,
    Problem,
    Timing,
    seconds_since_epoch,
    write_atomically,
)
from runner.results.gates import Gate

SCHEMA = 1
NAME = "result.json"
LATENCIES = "latencies_ms.json"
PYTORCH = "PyTorch"
OUTSIDE = "ONNX Runtime without optimisation"
"""What outputs are compared with: those of a network, and those of an ONNX file from outside."""
Status = Literal["ran", "reused", "skipped", "failed"]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number of things: up to it every whole number is a float64 too."""
Asked = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""A number as it was typed: the result of a run that was refused for it holds it."""


@dataclass(frozen=True)
class StageRecord:
    """The outcome of a stage; `seconds` is its duration in this run."""

    name: str
    status: Status
    seconds: float
    key: str | None


@dataclass(frozen=True)
class Failure:
    """The error that ended a run; `problems` are what it consists of, each with its fix, where these are several."""

    stage: str
    message: str
    fix: str
    problems: tuple[Problem, ...] = ()

    @property
    def each(self) -> tuple[Problem, ...]:
        """Its problems, also where it is one."""
        return self.problems or (Problem(self.message, self.fix),)


@dataclass(frozen=True)
class UsedWeights:
    """The checkpoint of a run."""

    origin: str
    path: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Meaning:
    """What the values of a metric mean (see Figure)."""

    unit: str = ""
    better: Literal["higher", "lower"] | None = None
    is_share: bool = False
    tolerance: float = Figure.tolerance


@dataclass(frozen=True, kw_only=True)
class OutputFidelity:
    """How close an output is to PyTorch's (see Fidelity)."""

    samples: Count | None = None
    top1_agreement: float | None = None
    cosine: float | None = None
    max_abs: float | None = None
    mean_abs: float | None = None
    equal: float | None = None


@dataclass(frozen=True, kw_only=True)
class WorstFidelity(OutputFidelity):
    """The worst fidelity of all outputs, and each of them.

    `reference` is what they were compared with; `accuracy` holds the metrics of its outputs, and `tool_accuracy` those
    of the tool's on the same samples.
    """

    reference: str = PYTORCH
    accuracy: dict[str, float | None] = field(default_factory=dict)
    tool_accuracy: dict[str, float | None] = field(default_factory=dict)
    per_output: dict[str, OutputFidelity] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds per call; None if the tool does not report it."""

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    min: float | None = None
    max: float | None = None
    std: float | None = None


@dataclass(frozen=True, kw_only=True)
class Performance:
    """A measurement; `reasons` say why it is not `valid`. None is what the tool does not report.

    `measured_at` is when it was made (ISO 8601), also if it was reused. `devices` names the cards that were measured,
    such as "310P3 device 0", and is empty for the CPU; `chips` is how many chips one card has. `load_ms` is the time to
    load the model, `first_call_ms` that of the first call, `peak_rss_mib` the memory of the measured process. `gears`
    names the batch sizes and shapes that the one compiled model serves, such as "batch 4"; empty for a model of one.
    `includes_copies` is whether latencies include the copies between host and device, which published ones leave out.
    `operators` are the slowest ones of a profile that was made after the measurement.
    """

    batch: Count | None = None
    samples_per_second: float | None = None
    latency_ms: Latency = field(default_factory=Latency)
    iterations: Count | None = None
    warmup: Count | None = None
    load_ms: float | None = None
    first_call_ms: float | None = None
    peak_rss_mib: float | None = None
    valid: bool = True
    reasons: tuple[str, ...] = ()
    source: str = ""
    measured_at: str | None = None
    gears: tuple[str, ...] = ()
    includes_copies: bool = False
    devices: tuple[str, ...] = ()
    chips: Count = 1
    operators: tuple[OperatorTime, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UsedArtifacts:
    """Paths of a run's artifacts; None for those that it did not reach."""

    weights: str | None = None
    onnx: str | None = None
    compiled: str | None = None
    samples: str | None = None
    predictions: str | None = None


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The hardware and software of a run.

    `host` is the name of the host. `commit` is the git commit of the runner's checkout, followed by "+changes" if files
    differ from it; None if the runner is not run from a git checkout.
    """

    host: str = ""
    commit: str | None = None
    python: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    os: str = ""
    cpu: str = ""
    memory: str = ""
    tools: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The content of a result.json. What a run did not reach is None.

    `created` is when the run ended (ISO 8601), missing in early versions. `limit` is the number of samples that the run
    was limited to, `stand_in` what it used instead of the data set of the published figures. `accuracy` holds the
    metrics by name, and `samples`, the number of scored samples; `metrics` holds the meaning of each metric. A run
    whose configuration was rejected has no model. `overrides` are the overrides of the run as typed, such as "batch=4".
    `path` is the file that it was read from, `written_at` the file's modification time in seconds since the epoch, and
    `edited` what was edited between it and the runs that it is shown with (see edits); none of them is in the file.
    """

    schema: int = SCHEMA
    created: str | None = None
    status: Literal["ok", "failed"]
    overrides: tuple[str, ...] = ()
    model: str = ""
    soc: str = ""
    tool: str = ""
    batch: Asked = 0
    dataset: str = ""
    limit: Asked | None = None
    stand_in: str | None = None
    weights: UsedWeights | None = None
    accuracy: dict[str, float | None] | None = None
    metrics: dict[str, Meaning] = field(default_factory=dict)
    fidelity: WorstFidelity | None = None
    performance: Performance | None = None
    gates: tuple[Gate, ...] = ()
    artifacts: UsedArtifacts | None = None
    stages: tuple[StageRecord, ...] = ()
    commands: tuple[Command, ...] = ()
    environment: Environment = field(default_factory=Environment)
    error: Failure | None = None
    path: str = ""
    written_at: float = 0.0
    edited: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status == "ok" and not (self.model and self.soc and self.tool and self.batch > 0):
            raise ValueError("it does not say which model ran on which soc, with which tool and batch size")
        for time in (self.created, self.performance.measured_at if self.performance else None):
            if time is not None:
                seconds_since_epoch(time)

    @property
    def ended_at(self) -> float:
        """When the run ended, or else when its file was written, in seconds since the epoch."""
        return self.written_at if self.created is None else seconds_since_epoch(self.created)

    @property
    def weights_origin(self) -> str:
        """file, url or random; empty for a run that did not reach its weights."""
        return self.weights.origin if self.weights else ""

    @property
    def samples_per_second(self) -> float | None:
        """The throughput; None if it was not measured."""
        return self.performance.samples_per_second if self.performance else None

    @property
    def includes_copies(self) -> bool:
        """Whether its latencies include copies, so that they must not stand beside published ones."""
        return self.performance is not None and self.performance.includes_copies

    @property
    def figures(self) -> dict[str, float | None]:
        """The accuracy by metric name, without the number of samples."""
        return {name: value for name, value in (self.accuracy or {}).items() if name != "samples"}

    @property
    def failed_gates(self) -> tuple[Gate, ...]:
        """The gates that the run did not pass."""
        return tuple(gate for gate in self.gates if gate.verdict == "fail")

    @property
    def exit_code(self) -> int:
        """0 all done and no gate failed; 1 an error; 2 a gate failed."""
        if self.status != "ok":
            return 1
        return 2 if self.failed_gates else 0

    def meaning(self, metric: str) -> Meaning:
        """Return the meaning of a metric; results of versions before 0.2 have none."""
        return self.metrics.get(metric, Meaning())

    def meaning_of(self, gate: Gate) -> Meaning:
        """Return the meaning of the metric that a gate judges; an empty one for a gate of no metric."""
        return self.meaning(gate.name.removeprefix("accuracy."))


def worst(
    fidelity: Mapping[str, Fidelity], compared: ComparedAccuracy | None, reference: str = PYTORCH
) -> WorstFidelity:
    """Return the worst fidelity of all outputs, and each of them, with the metrics of both on the same samples.

    Tiles of one picture are samples of the outputs, and one sample of the metrics.
    """
    outputs = fidelity.values()
    agreements = [each.top1_agreement for each in outputs if each.top1_agreement is not None]
    equal = [each.equal for each in outputs if each.equal is not None]
    return WorstFidelity(
        samples=compared.samples if compared else min(each.samples for each in outputs),
        top1_agreement=min(agreements, default=None),
        cosine=min(each.cosine for each in outputs),
        max_abs=max(each.max_abs for each in outputs),
        mean_abs=max(each.mean_abs for each in outputs),
        equal=min(equal, default=None),
        reference=reference,
        accuracy=dict(compared.reference) if compared else {},
        tool_accuracy=dict(compared.tool) if compared else {},
        per_output={name: OutputFidelity(**asdict(each)) for name, each in fidelity.items()},
    )


_REFUSED = ("schema", "created", "status", "overrides", "gates", "stages", "error")
"""The fields of a run whose configuration was rejected."""
NOT_WRITTEN = ("path", "written_at", "edited")
"""Fields of a result that are not in its file."""


def write(folder: Path, result: Result) -> None:
    """Write result.json into the run folder atomically; NaN and infinity become null."""
    fields = msgspec.to_builtins(result)
    is_refused = not result.model  # the configuration was rejected
    fields = {
        name: value for name, value in fields.items() if (name in _REFUSED if is_refused else name not in NOT_WRITTEN)
    }
    write_atomically(folder / NAME, as_json(fields))


def as_json(value: object) -> bytes:
    """Return a value as JSON that a person can read; NaN and infinity become null."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def write_latencies(folder: Path, timing: Timing) -> None:
    """Write the raw latencies into latencies_ms.json in the run folder."""
    content = {name: getattr(timing, name) for name in ("batch", "source", "settled_after", "latencies_ms")}
    write_atomically(folder / LATENCIES, msgspec.json.encode(content) + b"\n")


def decode(content: bytes) -> Result:
    """Parse a result.json.

    Raises:
        msgspec.ValidationError: it is not a result of this runner and schema. ValueError: it is not JSON.
        RecursionError: it is nested too deep.
    """
    try:
        header = msgspec.json.decode(content, type=_Header | list[Any] | str | float | bool | None)
        problem = _foreign(getattr(header, "schema", None))
        if not problem:
            return _DECODER.decode(content)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # versions before 0.2 wrote NaN and Infinity, which are not JSON
        value = json.loads(content)
        problem = _foreign(value.get("schema") if isinstance(value, dict) else None)
        if not problem:
            return msgspec.convert(value, Result)
    raise msgspec.ValidationError(problem)


class _Header(msgspec.Struct):
    schema: Any = None


_DECODER = msgspec.json.Decoder(Result)


def _foreign(schema: Any) -> str:
    """Return why a file with this schema cannot be read by this runner; empty if it can."""
    if schema is None:
        return "foreign: it has no schema, so it is no result of this runner"
    if isinstance(schema, bool) or not isinstance(schema, int):
        return f"foreign: its schema is {schema!r}, not a number"
    if schema != SCHEMA:
        age = "older" if schema < SCHEMA else "newer"
        return f"{age} schema: {schema}, and this runner reads {SCHEMA}"
    return ""

"""The frozen types that flow between stages.

Each has an `identity`, from which the cache keys of later stages are computed. It excludes paths, so the same bytes in
another place are the same artifact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from runner.core.times import seconds_since_epoch

Origin = Literal["file", "url", "random"]
_DTYPE_BYTES = {"float32": 4, "float16": 2, "float64": 8, "int64": 8, "int32": 4, "uint8": 1, "bool": 1}
DTYPES = tuple(_DTYPE_BYTES)
"""Allowed types of inputs."""
FREE = -1
"""The size of an axis that differs between samples, as in ONNX's and atc's shapes."""


def shown_size(size: int) -> str:
    """Return the size of an axis as text: "any" for FREE."""
    return "any" if size == FREE else str(size)


@dataclass(frozen=True)
class Command:
    """An external program's command line, and the stage that runs it."""

    stage: str
    argv: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The hardware a tool runs on. `devices` are chip indices; a card has `chips` chips; throughput is per card."""

    soc: str
    kind: str
    devices: tuple[int, ...]
    soc_version: str | None = None
    chips: int = 1


@dataclass(frozen=True)
class Weights:
    """A checkpoint file."""

    path: Path
    sha256: str
    origin: Origin

    @property
    def identity(self) -> str:
        return self.sha256


@dataclass(frozen=True)
class TensorSpec:
    """A named tensor; `shape` without the batch axis, FREE where samples differ."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def is_floating(self) -> bool:
        return self.dtype.startswith("float")

    @property
    def is_free(self) -> bool:
        """Whether samples may differ in shape."""
        return FREE in self.shape

    @property
    def sample_bytes(self) -> int:
        """The size of one sample of an input whose shape is not free."""
        return _DTYPE_BYTES[self.dtype] * math.prod(self.shape)

    @property
    def shown_shape(self) -> str:
        """The shape as text, such as "[3, any, any]"."""
        return f"[{', '.join(map(shown_size, self.shape))}]"

    def takes(self, shape: Sequence[int]) -> bool:
        """Return whether a sample of this shape fits."""
        return len(shape) == len(self.shape) and all(
            own in (FREE, size) for own, size in zip(self.shape, shape, strict=True)
        )

    def at(self, shape: Sequence[int]) -> TensorSpec:
        """Return the same tensor in one of the shapes that it takes."""
        return TensorSpec(self.name, self.dtype, tuple(shape))


@dataclass(frozen=True, kw_only=True)
class OnnxModel:
    """An ONNX file. `batch` is the fixed batch size of its inputs, or None if the batch axis is dynamic.

    `metadata` is what a file from outside says of itself, by key.
    """

    path: Path
    sha256: str
    opset: int
    batch: int | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        return self.sha256


@dataclass(frozen=True)
class Gear:
    """The shapes of one setting of a model that was compiled for several, without the batch axis."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, kw_only=True)
class CompiledModel:
    """The file a tool loads: .om, engine, or the ONNX itself. `argv` is the compiler's command line, if one ran.

    `gears` are the shapes that a model with free sizes was compiled for, and `batches` the batch sizes, if several;
    `batch` is the one in use. `is_range` is whether it was compiled for all shapes between these, and not for each.
    """

    path: Path
    sha256: str
    soc: str
    batch: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    argv: tuple[str, ...] = ()
    gears: tuple[Gear, ...] = ()
    batches: tuple[int, ...] = ()
    is_range: bool = False

    @property
    def identity(self) -> str:
        return f"{self.sha256} {self.soc} {self.batch}"

    def at(self, shapes: Sequence[Sequence[int]]) -> CompiledModel:
        """Return the model as it is for samples of the given shapes, one per input."""
        inputs = tuple(tensor.at(shape) for tensor, shape in zip(self.inputs, shapes, strict=True))
        gear = next((gear for gear in self.gears if gear.inputs == inputs), None)
        return replace(self, inputs=inputs, outputs=gear.outputs if gear else self.outputs)

    def serves(self, batch: int) -> bool:
        """Return whether the model takes batches of this size."""
        return batch in (self.batches or (self.batch,))

    def of_batch(self, batch: int) -> CompiledModel:
        """Return the model as it is for batches of a size that it serves."""
        return replace(self, batch=batch)

    @property
    def served(self) -> tuple[str, ...]:
        """The batch sizes and shapes that it was compiled for, if several: "batch 4", "image [3, 321, 481]".

        Those of a range are one: "batch 1~8", "image [3, 321~481, 321~481]".
        """
        if self.is_range:
            batches = [f"batch {_span(self.batches)}"] if self.batches else []
            return (*batches, *(_spans(tensors) for tensors in zip(*(gear.inputs for gear in self.gears), strict=True)))
        sizes = [", ".join(f"{tensor.name} {tensor.shown_shape}" for tensor in gear.inputs) for gear in self.gears]
        return (*(f"batch {batch}" for batch in self.batches), *sizes)


def _spans(tensors: Sequence[TensorSpec]) -> str:
    sizes = ", ".join(map(_span, zip(*(tensor.shape for tensor in tensors), strict=True)))
    return f"{tensors[0].name} [{sizes}]"


def _span(sizes: Sequence[int]) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 else f"{min(sizes)}~{max(sizes)}"


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Prepared samples, shared by all batch sizes, SoCs and tools.

    For each input `<path>/<name>.npy` holds one array [count, *shape] (runner.data.storage, also where shapes differ):
    images and frames as uint8 before normalisation, anything else as the network takes it (see `spec`), except the
    inputs that `unnormalised` names, which are to be normalised as pictures are. `<path>/rows.jsonl` holds the metadata
    of each row (runner.data.rows); `has_truth` is whether samples have a ground truth. `substitute` says why this is
    not the data set of the published figures, None if it is. `note` is a remark to show beside an accuracy.
    """

    path: Path
    sha256: str
    count: int
    spec: tuple[TensorSpec, ...]
    has_truth: bool = False
    unnormalised: tuple[str, ...] = ()
    substitute: str | None = None
    note: str | None = None

    @property
    def identity(self) -> str:
        return self.sha256


@dataclass(frozen=True)
class Predictions:
    """`path` is an .npz: one array per output name in sample order, without tail padding, and `ids`.

    Outputs whose shape differs between samples: see runner.data.predictions. Where `results` are stored, the decoder's
    of every sample in the same format, the outputs are those of the samples that PyTorch computes too.
    """

    path: Path
    sha256: str
    outputs: tuple[str, ...]
    count: int
    results: Predictions | None = None

    @property
    def identity(self) -> str:
        return self.sha256 if self.results is None else f"{self.sha256} {self.results.sha256}"


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How close an output is to PyTorch's in float32, over `samples` samples.

    `cosine` is the mean of the samples' cosines, `mean_abs` the mean and `max_abs` the largest absolute difference;
    `top1_agreement` is in percent, None if the output holds no scores of classes; `equal` is the percentage of
    equal elements of an output of whole numbers, None for others.
    """

    samples: int
    top1_agreement: float | None
    cosine: float
    max_abs: float
    mean_abs: float
    equal: float | None = None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """The meaning of a metric's value: its unit ("percent", "dB", or "" for a plain number) and its direction.

    `better` is None if the metric does not specify it. `is_share` is whether the value is a percentage of samples
    (right or wrong), so that its standard error is binomial. `tolerance` is how far a value that is not a percentage
    may fall short of the published one: guides publish four decimals.
    """

    unit: str = ""
    better: Literal["higher", "lower"] | None = None
    is_share: bool = False
    tolerance: float = 1e-4


@dataclass(frozen=True)
class ComparedAccuracy:
    """Metrics by name on the same `samples` samples: of the tool's outputs, and of the reference's."""

    samples: int
    tool: dict[str, float]
    reference: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Accuracy by metric name over `samples` samples, the meaning of each value, and the fidelity of each output.

    Where there is ground truth, `compared` holds the metrics on the samples that PyTorch computed too: of the tool's
    outputs and of PyTorch's.
    """

    accuracy: dict[str, float]
    figures: dict[str, Figure]
    samples: int
    fidelity: dict[str, Fidelity]
    compared: ComparedAccuracy | None = None

    @property
    def identity(self) -> str:
        return repr(self)


@dataclass(frozen=True)
class BatchComparison:
    """How close each output is to that of the same samples at batch size `other_batch`."""

    other_batch: int
    outputs: dict[str, Fidelity]

    @property
    def identity(self) -> str:
        return repr(self)


@dataclass(frozen=True, kw_only=True)
class OperatorTime:
    """The time of an operator in a profile: `mean_ms` per execution, and `percent` of that of all operators.

    `name` is its name in the compiled model, `type` such as Conv.
    """

    name: str
    type: str
    mean_ms: float
    percent: float


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A measurement of calls on `batch` samples each, on one chip of a card that has `chips`.

    `latencies_ms` are the raw latencies per call if the tool reports them; otherwise it reports only `mean_ms`.
    Percentiles and samples/s are derived (runner.measure.summary). `reasons` say why the measurement is invalid.
    Latencies before index `settled_after` were not yet stable: kept, but excluded from statistics. `load_ms` and
    `first_call_ms` are measured separately; `peak_rss_bytes` is that of the measured process; None if unknown.
    `measured_at` is when it was made (ISO 8601). `operators` are the slowest ones of a profile made afterwards, if any.

    Raises:
        ValueError: `measured_at` is no time.
    """

    batch: int
    latencies_ms: tuple[float, ...]
    warmup: int
    source: str
    reasons: tuple[str, ...] = ()
    mean_ms: float | None = None
    iterations: int | None = None
    chips: int = 1
    settled_after: int = 0
    load_ms: float | None = None
    first_call_ms: float | None = None
    peak_rss_bytes: int | None = None
    measured_at: str | None = None
    operators: tuple[OperatorTime, ...] = ()

    def __post_init__(self) -> None:
        if self.measured_at is not None:
            seconds_since_epoch(self.measured_at)

    @property
    def identity(self) -> str:
        return repr(self)


Artifact = Weights | OnnxModel | CompiledModel | Samples | Predictions | Scores | BatchComparison | Timing


def flaw_of(artifact: Artifact) -> str:
    """Return why a later run must make the artifact again instead of reusing it; empty if it may be reused."""
    if isinstance(artifact, Timing) and artifact.reasons:
        return f"measurement is not valid ({'; '.join(artifact.reasons)})"
    return ""

"""The frozen types that flow between stages.

Each has an `identity`: the content that the keys of later stages are made of. Paths are no part of it, so the same
bytes found elsewhere are the same artifact.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Origin = Literal["file", "url", "random"]


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
    """A named tensor; `shape` without the batch axis."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def is_floating(self) -> bool:
        return self.dtype.startswith("float")


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file. `batch` is the batch size that its inputs are fixed to, or None when the batch axis is free."""

    path: Path
    sha256: str
    opset: int
    batch: int | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def identity(self) -> str:
        return self.sha256


@dataclass(frozen=True)
class CompiledModel:
    """What a tool loads: the .om, the engine, or the ONNX itself. `argv` is the compiler's command line, if any ran."""

    path: Path
    sha256: str
    soc: str
    batch: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    argv: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        return f"{self.sha256} {self.soc} {self.batch}"


@dataclass(frozen=True)
class Samples:
    """Prepared samples, once for every batch, SoC and tool.

    For each input `<path>/<name>.npy` holds one array [count, *shape]: uint8 pictures and frames before normalisation,
    anything else as the network takes it, which `spec` says. `ids` are the samples' names in order; `labels` their
    class indices, if any. `stand_in` says why this is not the data set that the published figures were measured on;
    None when it is. `note` says what else a reader of an accuracy should know.
    """

    path: Path
    sha256: str
    count: int
    spec: tuple[TensorSpec, ...]
    ids: tuple[str, ...]
    labels: tuple[int, ...] | None = None
    stand_in: str | None = None
    note: str | None = None

    @property
    def identity(self) -> str:
        return self.sha256


@dataclass(frozen=True)
class Predictions:
    """`path` is an .npz: one array per output name in sample order, tail padding already cut, and `ids`."""

    path: Path
    sha256: str
    outputs: tuple[str, ...]
    count: int

    @property
    def identity(self) -> str:
        return self.sha256


@dataclass(frozen=True)
class Fidelity:
    """How close one output is to PyTorch's in float32, over `samples` samples.

    `cosine` is the mean of the samples' cosines, `mean_abs` the mean and `max_abs` the largest absolute difference;
    `top1_agreement` is in percent, None for an output that is not [N, classes].
    """

    samples: int
    top1_agreement: float | None
    cosine: float
    max_abs: float
    mean_abs: float


@dataclass(frozen=True)
class Scores:
    """Accuracy by metric name over `samples` samples, and the fidelity of each output."""

    accuracy: dict[str, float]
    samples: int
    fidelity: dict[str, Fidelity]

    @property
    def identity(self) -> str:
        return repr(self)


@dataclass(frozen=True)
class Timing:
    """A measurement of calls on `batch` samples each, on one chip of a card that has `chips`.

    `latencies_ms` are the raw values, one a call, where the tool tells them; else `mean_ms` is all that it tells.
    Percentiles and samples/s are derived (runner.performance). `reasons` say why the measurement does not count.
    The calls before `settled_after` came before the latencies had settled: kept, but not derived from. `load_ms` and
    `first_call_ms` are apart from the rest, and `peak_rss_bytes` is that of the measured process; None where unknown.
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

    @property
    def identity(self) -> str:
        return repr(self)


Artifact = Weights | OnnxModel | CompiledModel | Samples | Predictions | Scores | Timing

"""The typed schema of every config file.

Registered in Hydra's ConfigStore as `schema`, the first entry of `conf/config.yaml`, so that YAML files and overrides
are checked against it while the configuration is composed. Bounds of values are declared in the fields
(runner.core.bounds) and checked before the first stage runs (runner.pipeline.preflight).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from runner.config import libraries
from runner.core import DTYPES, bounded, one_of

# OmegaConf evaluates these annotations and supports Optional[X] on all its Python versions, but not X | None.
# ruff: noqa: UP045


CHECKPOINTS = Path("checkpoints")
"""Where `weights=auto` looks for files."""
LANGUAGES = ("en", "zh")
"""The languages of a guide."""
BASE = "_base_"
"""In a decoder: the mapping that its other keys are laid over."""
NAME = re.compile(r"\w[\w.+-]{0,99}")
"""The names of models, data sets, SoCs and tools: folders are named by them."""
TO_NAME = "name it with letters, digits, dots, dashes and underscores"
MOST_BATCH = 2**31 - 1
"""Sizes of tensors are whole numbers of 32 bits in atc and TensorRT."""
MOST_CALLS = 1_000_000
"""Calls of a measurement and of its warm-up: the latency of each is kept."""
MOST_SECONDS = 86_400
"""A day, for a measurement."""
Text = Any
"""A text, or the same text by language: {en: ..., zh: ...}; English is the one that must be there."""


@dataclass
class TensorConfig:
    """A named input; `shape` without the batch axis, null or a name for sizes that differ between samples."""

    name: str = MISSING
    shape: list[Any] = MISSING
    dtype: str = one_of(*DTYPES)


@dataclass
class CheckpointConfig:
    """The published checkpoint: its location, and how its layout maps to the network's own state dict."""

    file: str = ""
    """File name in checkpoints/."""
    url: Optional[str] = None
    sha256: Optional[str] = None
    """All 64 digits, or the leading ones, as in file names of torch.hub."""
    size_bytes: Optional[int] = None
    where: Text = None
    """Where to download the file by hand if there is no direct URL."""
    unwrap: list[str] = field(default_factory=list)
    """Entries that may contain the state dict; a file without them is the state dict itself."""
    rename: dict[str, str] = field(default_factory=dict)
    """Old prefix -> new prefix of parameter names."""
    drop_background: Optional[str] = None
    """Classifier layer whose row 0 (a background class) is dropped if it has one row more than the network's."""
    settings: Optional[dict[str, Any]] = None
    """A callable (`_target_`): state dict -> network arguments determined by the checkpoint."""
    adapt: Optional[dict[str, Any]] = None
    """A callable (`_target_`): state dict, network -> state dict in the network's own names and shapes."""


@dataclass
class PreprocessConfig:
    """The preprocessing that the weights require: value = (stored * scale - mean) / std, per channel."""

    fit: str = one_of("shorter", "stretch", "inside", "none")
    """How a picture is resized: its shorter side to `resize` and the centre cut out; to `size`; to fit into `size`, and
    padded; not at all, only padded."""
    size: Optional[list[int]] = None
    """[height, width] in pixels; by default what the network takes."""
    pad: str = one_of("centre", "corner")
    """Where a padded picture lies: in the centre or in the top left corner."""
    pad_value: Any = 0
    """The padding's value before normalisation, 0 to 255; one, or one per channel."""
    multiple: int = bounded(1, least=1)
    """An axis of free size is padded to a multiple of this."""
    tile: Optional[list[int]] = None
    """[height, width]: larger pictures are cut into tiles, each a row of its own."""
    overlap: int = bounded(0, least=0)
    """Pixels by which tiles overlap, at least."""
    resize: Optional[int] = bounded(None, least=1)
    """Length of the shorter side in pixels; the longer one keeps the ratio, truncated."""
    keep_ratio: bool = True
    """If false, both sides become `resize`."""
    interpolation: str = one_of(
        *("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"),
        *("cv2_nearest", "cv2_linear", "cv2_cubic", "cv2_area"),
        default="bilinear",
    )
    """Pillow's, or with cv2_ OpenCV's, whose linear and cubic look at few pixels however small a picture becomes."""
    crop: Optional[int] = bounded(None, least=1)
    """Side of the centre crop in pixels."""
    channels: str = one_of("rgb", "bgr", "grey")
    scale: float = 1.0
    """.nan: to be set before a run, as runner.new writes it, which cannot know it."""
    mean: list[float] = field(default_factory=lambda: [0.0])
    std: list[float] = field(default_factory=lambda: [1.0])


@dataclass
class ExportConfig:
    opset: int = 11
    fixed_batch: bool = False
    """Export separately for every batch size instead of once with a dynamic batch axis."""


@dataclass
class SimplifyConfig:
    enabled: bool = True
    fixed_batch: bool = False
    """Fix the batch size in the simplified model; otherwise the batch axis stays dynamic."""


@dataclass
class PublishedConfig:
    """One row of a guide's table. Accuracies in percent, throughput in samples/s."""

    soc: str = MISSING
    batch: int = MISSING
    accuracy: dict[str, float] = field(default_factory=dict)
    samples_per_second: Optional[float] = bounded(None, least=0)
    source: str = MISSING
    misprint: Optional[str] = None
    """Why the figures are evidently misprinted: they are shown marked, and never count as the best."""


@dataclass
class FidelityConfig:
    """Required similarity of the compiled model's outputs to PyTorch's in float32."""

    cosine: float = bounded(0.999, least=-1)
    equal: float = bounded(99.0, least=0)
    """Of outputs of whole numbers, such as label maps: percent of equal elements."""
    top1_agreement: Optional[float] = bounded(None, least=0)
    """Percent."""


@dataclass
class GuideConfig:
    """The guide of the public model zoo that is the source of the published figures."""

    url: Optional[str] = None
    """URL of its page at a commit."""
    tool: Optional[str] = None
    """The tool it ran the model with: an option of `tool`."""
    versions: dict[str, str] = field(default_factory=dict)
    """The versions that it names: of driver, CANN, Python, PyTorch."""


@dataclass
class OnnxConfig:
    """An ONNX file from outside, which takes the place of a network and its checkpoint."""

    file: str = MISSING
    """File name in checkpoints/; with `package`, its path in the installed package of that name."""
    package: Optional[str] = None
    url: Optional[str] = None
    sha256: Optional[str] = None
    """All 64 digits, or the leading ones."""
    size_bytes: Optional[int] = None
    where: Text = None
    """Where to get the file by hand if there is no direct URL."""
    made_by: Text = None
    """How it was made: the command, or the repository and its commit."""


@dataclass
class ModelConfig:
    name: str = MISSING
    arch: Optional[str] = None
    """The network's name in its library, for options that stand for any of its networks."""
    task: str = MISSING
    about: Text = None
    """What the network is, in a sentence or two."""
    paper: Optional[str] = None
    """URL of the paper."""
    reference: str = MISSING
    """URL and commit of the training code of the checkpoint."""
    guide: GuideConfig = field(default_factory=GuideConfig)
    network: dict[str, Any] = field(default_factory=dict)
    """`_target_` and its arguments."""
    onnx: Optional[OnnxConfig] = None
    """An ONNX file from outside instead of `network` and `checkpoint`."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    inputs: list[TensorConfig] = MISSING
    outputs: list[str] = MISSING
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    decode: dict[str, Any] = field(default_factory=dict)
    """A callable (`_target_`): outputs of some rows, their metadata -> one result per row; {}: the first output.

    `_base_` is a mapping that these keys are laid over, unless they name another `_target_`."""
    export: ExportConfig = field(default_factory=ExportConfig)
    simplify: SimplifyConfig = field(default_factory=SimplifyConfig)
    surgery: list[str] = field(default_factory=list)
    """Callables ModelProto -> ModelProto, applied to the simplified model in order."""
    atc: dict[str, Any] = field(default_factory=dict)
    """Further documented flags of atc by name, such as `precision_mode: force_fp16`."""
    aipp: bool = False
    """Normalise on the card: the compiled model takes uint8 images [N, H, W, C]."""
    deviations: list[Text] = field(default_factory=list)
    """Intended differences from the guide's commands, with reasons."""
    batch_dependent: Text = None
    """Why a sample's outputs depend on the batch it is in; null if they must not. Such a model is compared with PyTorch
    in the same batches, and the comparison of batch sizes is reported and fails nothing."""
    fidelity: FidelityConfig = field(default_factory=FidelityConfig)
    published: list[PublishedConfig] = field(default_factory=list)


@dataclass
class DatasetConfig:
    name: str = MISSING
    task: Optional[str] = None
    """The task of the models that it is for; null for any."""
    url: Optional[str] = None
    """Where to get it."""
    root: Optional[str] = None
    labels: Optional[str] = None
    reader: dict[str, Any] = field(default_factory=dict)
    """`_target_` and its arguments: a runner.data.Reader."""
    scored_against: str = one_of("labels", "reference")
    """`labels`, or `reference`: PyTorch's outputs on the same samples."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Name -> `_target_` and its arguments: a function of results and truths, or a runner.tasks.Metric."""
    reference_metrics: dict[str, Any] = field(default_factory=dict)
    """The metrics in place of these where the data have no labels: they compare with PyTorch's outputs. {}: labels are
    required."""
    preview: Optional[dict[str, Any]] = None
    """A callable that writes a preview of the outputs into the run folder."""


@dataclass
class SocConfig:
    name: str = MISSING
    kind: str = MISSING
    """Kind of hardware that a tool must support: cpu, ascend, nvidia."""
    soc_version: Optional[str] = None
    """Its name for atc."""
    chips: int = 1
    """Chips per card; a device is one chip, and published throughputs are per card."""
    aipp: bool = False
    """Whether it can normalise images itself (AIPP); models refer to it by `aipp: ${soc.aipp}`."""
    source: Optional[str] = None
    """Source of these facts."""


@dataclass
class BatchConfig:
    size: int = bounded(MISSING, least=1, most=MOST_BATCH, shown_as="batch")
    gears: list[int] = field(default_factory=list)
    """The batch sizes that one compiled model is to serve; []: each batch size gets a model of its own."""


@dataclass
class ToolConfig:
    name: str = MISSING
    serves: list[str] = MISSING
    """The kinds of SoC that it supports."""
    adapter: dict[str, Any] = field(default_factory=dict)
    """`_target_` and its arguments: a runner.tools.Tool."""
    python: Optional[str] = None
    """The Python interpreter that has the tool installed."""
    script: Optional[str] = None
    program: Optional[str] = None
    mode: Optional[str] = None
    host: Optional[str] = None
    """The host that has the tool, as ssh takes it; null for this one."""
    environment_script: Optional[str] = None
    """Script that sets the environment of tool and compiler, sourced if they are not on the PATH."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Further flags of the tool by name, without dashes."""
    compiler: Optional[dict[str, Any]] = None
    """`_target_` and its arguments: a runner.tools.Compiler; null if the tool loads ONNX itself."""
    provider_options: dict[str, Any] = field(default_factory=dict)
    """Options of ONNX Runtime's execution provider by name."""
    session_options: dict[str, Any] = field(default_factory=dict)
    """Attributes of ONNX Runtime's SessionOptions, and session configuration entries, by name."""
    serves_gears: bool = False
    """Whether it runs a model that was compiled for several batch sizes (`batch.gears`)."""
    shapes: str = one_of("gears", "range", shown_as="tool.shapes")
    """How a model is compiled for several batch sizes or shapes: for each of them, or for all between them."""


@dataclass
class AccuracyGateConfig:
    enabled: bool = True
    tolerance: float = bounded(1.0, least=0)
    """Allowed percentage points below the published figure, or two standard errors if that is more."""


@dataclass
class FidelityGateConfig:
    enabled: bool = True
    samples: int = bounded(256, least=1)
    """Number of evenly spaced samples that PyTorch computes too; all samples if the metrics need them."""


@dataclass
class BatchInvarianceGateConfig:
    enabled: bool = True
    cosine: float = bounded(0.9999, least=-1)
    """Least cosine between the outputs of the same samples at two batch sizes, with the same SoC and tool."""


@dataclass
class ThroughputGateConfig:
    enabled: bool = False
    """Whether a slower run fails; otherwise the figure is only reported."""
    tolerance: float = bounded(10.0, least=0)
    """Allowed percent below the published figure."""


@dataclass
class GatesConfig:
    accuracy: AccuracyGateConfig = field(default_factory=AccuracyGateConfig)
    fidelity: FidelityGateConfig = field(default_factory=FidelityGateConfig)
    batch_invariance: BatchInvarianceGateConfig = field(default_factory=BatchInvarianceGateConfig)
    throughput: ThroughputGateConfig = field(default_factory=ThroughputGateConfig)


@dataclass
class BenchmarkConfig:
    warmup: int = bounded(3, least=0, most=MOST_CALLS)
    """Calls before the measurement; ONNX Runtime in this process makes fewer if they take `max_seconds`."""
    min_iterations: int = bounded(10, least=1, most=MOST_CALLS)
    min_seconds: float = bounded(1.0, least=0, most=MOST_SECONDS)
    max_seconds: float = bounded(180.0, least=0, most=MOST_SECONDS)
    """Limit of the measurement unless three consecutive windows (a third of the minima each) agree before."""
    input: str = one_of("random", "real")
    """`random`, or `real`: the first batch of the prepared samples."""
    isolate: bool = False
    """Measure in a separate process."""
    profile: bool = False
    """Run the tool's profiler after the measurement, and tell the slowest operators."""


@dataclass
class RunConfig:
    model: ModelConfig = MISSING
    dataset: DatasetConfig = MISSING
    soc: SocConfig = MISSING
    batch: BatchConfig = MISSING
    tool: ToolConfig = MISSING
    weights: str = "auto"
    compiled: Optional[str] = None
    """Folder of a model that another host has compiled, copied from its store."""
    limit: Optional[int] = bounded(None, least=1)
    stages: Optional[list[str]] = None
    dry_run: bool = False
    force: Any = False
    """true, false, or a list of stage names."""
    device: Any = 0
    """A device index or a list of them."""
    seed: int = bounded(0, least=0)
    cache_dir: str = "outputs/cache"
    mirror: Optional[str] = None
    """URL of a server that has https://HOST/PATH as MIRROR/HOST/PATH; downloads ask it instead."""
    allow: list[str] = field(default_factory=list)
    """Packages of the user that `_target_` may name too (runner.config.permissions)."""
    gates: GatesConfig = field(default_factory=GatesConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)


def register() -> None:
    """Register the schema with Hydra, and the resolver for metadata of libraries."""
    libraries.register()
    ConfigStore.instance().store(name="schema", node=RunConfig, provider="runner")


def in_language(text: Text, language: str = "en") -> Optional[str]:
    """Return a text in a language, in English if there is no translation; None if there is no text."""
    chosen = (text.get(language) or text["en"]) if isinstance(text, dict) else text
    return None if chosen is None else str(chosen)

"""The typed shape of every config file.

Registered in Hydra's ConfigStore as `schema`, the first entry of `conf/config.yaml`: whatever a YAML file or an
override sets is checked against it while the configuration is composed. Values are checked by runner.preflight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Optional

import msgspec
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner import libraries, targets
from runner.errors import ConfigError, cause_of

# OmegaConf reads these annotations itself and knows Optional[X] on every Python that it supports, X | None not.
# ruff: noqa: UP045


@dataclass
class TensorConfig:
    """A named input; `shape` without the batch axis."""

    name: str = MISSING
    shape: list[int] = MISSING
    dtype: str = "float32"


@dataclass
class CheckpointConfig:
    """The published checkpoint: where it is, and how its layout maps to the network's own state dict."""

    file: str = MISSING
    """Its name in checkpoints/."""
    url: Optional[str] = None
    sha256: Optional[str] = None
    """All 64 digits, or the leading ones, as file names of torch.hub carry them."""
    size_bytes: Optional[int] = None
    where: Optional[str] = None
    """Where a person gets the file when there is no direct URL."""
    unwrap: list[str] = field(default_factory=list)
    """Entries that may hold the state dict; a flat file is taken as it is."""
    rename: dict[str, str] = field(default_factory=dict)
    """Old prefix -> new prefix of parameter names."""
    drop_background: Optional[str] = None
    """The classifier layer whose row 0 is a background class to drop, if it has one row more than the network's."""
    settings: Optional[dict[str, Any]] = None
    """A callable (`_target_`): state dict -> arguments of the network that the checkpoint fixes."""
    adapt: Optional[dict[str, Any]] = None
    """A callable (`_target_`): state dict, network -> state dict in the network's own names and shapes."""


@dataclass
class PreprocessConfig:
    """What the weights demand of their input: value = (stored * scale - mean) / std, per channel."""

    resize: Optional[int] = None
    """Shorter side, pixels; the longer one follows, truncated."""
    keep_ratio: bool = True
    """If false, both sides become `resize`, whatever the picture's shape."""
    interpolation: str = "bilinear"
    crop: Optional[int] = None
    """Side of the centred square, pixels."""
    channels: str = "rgb"
    scale: float = 1.0
    mean: list[float] = field(default_factory=lambda: [0.0])
    std: list[float] = field(default_factory=lambda: [1.0])


@dataclass
class ExportConfig:
    opset: int = 11
    fixed_batch: bool = False
    """Export anew for every batch size instead of once with a free batch axis."""


@dataclass
class SimplifyConfig:
    enabled: bool = True
    fixed_batch: bool = False
    """Write the batch size into the simplified model; else the batch axis stays free."""


@dataclass
class PublishedConfig:
    """One row of a guide's table. Accuracies in percent, throughput in samples a second."""

    soc: str = MISSING
    batch: int = MISSING
    accuracy: dict[str, float] = field(default_factory=dict)
    samples_per_second: Optional[float] = None
    source: str = MISSING


@dataclass
class FidelityConfig:
    """What the compiled model must keep of PyTorch's outputs in float32."""

    cosine: float = 0.999
    top1_agreement: Optional[float] = None
    """Percent."""


@dataclass
class GuideConfig:
    """The hand-written guide of the public zoo that the published figures are from."""

    url: Optional[str] = None
    """Its page, at a commit."""
    tool: Optional[str] = None
    """What it ran the model with: an option of `tool`."""


@dataclass
class ModelConfig:
    name: str = MISSING
    arch: Optional[str] = None
    """The network's name in its library, where the option stands for any of them."""
    task: str = MISSING
    reference: str = MISSING
    """URL and commit of the code that the checkpoint was trained with."""
    guide: GuideConfig = field(default_factory=GuideConfig)
    network: dict[str, Any] = field(default_factory=dict)
    """`_target_` and its arguments."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    inputs: list[TensorConfig] = MISSING
    outputs: list[str] = MISSING
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    simplify: SimplifyConfig = field(default_factory=SimplifyConfig)
    surgery: list[str] = field(default_factory=list)
    """Callables applied to the simplified model in order, each ModelProto -> ModelProto."""
    atc: dict[str, Any] = field(default_factory=dict)
    """Further flags of atc by name, such as `precision_mode: force_fp16`; each is one that atc documents."""
    aipp: bool = False
    """Let the card normalise: the compiled model takes uint8 pictures [N, H, W, C]."""
    deviations: list[str] = field(default_factory=list)
    """Where the commands differ from the guide's on purpose, and why."""
    fidelity: FidelityConfig = field(default_factory=FidelityConfig)
    published: list[PublishedConfig] = field(default_factory=list)


@dataclass
class DatasetConfig:
    name: str = MISSING
    root: Optional[str] = None
    labels: Optional[str] = None
    reader: dict[str, Any] = field(default_factory=dict)
    """`_target_` and its arguments: a runner.datasets.Reader."""
    scored_against: str = "labels"
    """labels, or reference: PyTorch's outputs on the same samples."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Metric name -> `_target_` and its arguments, a function of runner.metrics."""
    preview: Optional[dict[str, Any]] = None
    """A callable that leaves something to look at in the run folder."""


@dataclass
class SocConfig:
    name: str = MISSING
    kind: str = MISSING
    """What a tool must drive: cpu, ascend, nvidia."""
    soc_version: Optional[str] = None
    """What atc calls it."""
    chips: int = 1
    """Chips on a card; a device is one of them, and published throughputs are a card's."""
    aipp: bool = False
    """Whether it can normalise pictures itself (AIPP), as models refer to it by `aipp: ${soc.aipp}`."""
    source: Optional[str] = None
    """Where these facts are from."""


@dataclass
class BatchConfig:
    size: int = MISSING


@dataclass
class ToolConfig:
    name: str = MISSING
    serves: list[str] = MISSING
    """The kinds of SoC that it drives."""
    adapter: dict[str, Any] = field(default_factory=dict)
    """`_target_` and its arguments: a runner.tools.Tool."""
    python: Optional[str] = None
    """The interpreter that a tool in Python lives in."""
    script: Optional[str] = None
    program: Optional[str] = None
    mode: Optional[str] = None
    environment_script: Optional[str] = None
    """What sets the tool's and the compiler's environment, sourced for them where they are not on the PATH."""
    compiler: Optional[dict[str, Any]] = None
    """`_target_` and its arguments: a runner.compilers.Compiler; null for a tool that loads ONNX itself."""


@dataclass
class AccuracyGateConfig:
    enabled: bool = True
    tolerance: float = 1.0
    """Percentage points below the published figure that still pass; two standard errors where those are more."""


@dataclass
class FidelityGateConfig:
    enabled: bool = True
    samples: int = 256
    """How many samples, spread evenly, PyTorch computes too; all of them where the metrics need it."""


@dataclass
class BatchInvarianceGateConfig:
    enabled: bool = True
    cosine: float = 0.9999
    """Between the outputs at two batch sizes, of the same samples, on the same SoC with the same tool."""


@dataclass
class ThroughputGateConfig:
    enabled: bool = False
    """Whether a run that is slower fails; where not, the figure is only reported."""
    tolerance: float = 10.0
    """Percent below the published figure that still pass."""


@dataclass
class GatesConfig:
    accuracy: AccuracyGateConfig = field(default_factory=AccuracyGateConfig)
    fidelity: FidelityGateConfig = field(default_factory=FidelityGateConfig)
    batch_invariance: BatchInvarianceGateConfig = field(default_factory=BatchInvarianceGateConfig)
    throughput: ThroughputGateConfig = field(default_factory=ThroughputGateConfig)


@dataclass
class BenchmarkConfig:
    warmup: int = 3
    min_iterations: int = 10
    min_seconds: float = 1.0
    max_seconds: float = 180.0
    """A third of the minima makes a window; measuring ends here where no three windows in a row agree before."""
    input: str = "random"
    """random, or real: the first batch of the prepared samples."""
    isolate: bool = False
    """Measure in a process of its own."""


@dataclass
class RunConfig:
    model: ModelConfig = MISSING
    dataset: DatasetConfig = MISSING
    soc: SocConfig = MISSING
    batch: BatchConfig = MISSING
    tool: ToolConfig = MISSING
    weights: str = "auto"
    limit: Optional[int] = None
    stages: Optional[list[str]] = None
    dry_run: bool = False
    force: Any = False
    """true, false, or a list of stage names."""
    device: Any = 0
    """A device index or a list of them."""
    seed: int = 0
    cache_dir: str = "outputs/cache"
    allow: list[str] = field(default_factory=list)
    """Packages of the user's own that `_target_` may name beside the runner's choice (runner.targets)."""
    gates: GatesConfig = field(default_factory=GatesConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)


def register() -> None:
    """Make the schema known to Hydra, and what its values may ask libraries for."""
    libraries.register()
    ConfigStore.instance().store(name="schema", node=RunConfig, provider="runner")


def load(config: DictConfig) -> RunConfig:
    """The composed configuration as typed objects, every interpolation resolved; runner.targets learns its `allow`.

    Raises:
        ConfigError: a key that the schema does not know (Hydra's `+key=value` adds any), or a value that is missing
            or points nowhere.
    """
    libraries.register()  # a launcher may have brought the configuration to a process of its own
    unknown = list(_unknown_keys(config, ""))
    if unknown:
        raise ConfigError("; ".join(unknown), "correct the name, or leave it out: see --cfg job for the keys")
    try:
        loaded = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        known = cause_of(error)
        if known is not None:
            raise known from error
        first, *rest = str(error).splitlines()
        context = "; ".join(line.strip() for line in rest)
        raise ConfigError(f"{first} ({context})", "see --cfg job for the value") from error
    if not isinstance(loaded, RunConfig):
        raise ConfigError("the configuration lacks the runner's schema", "keep `- schema` first in the defaults")
    _check(loaded)
    if loaded.model.arch is not None and "${model.arch}" not in OmegaConf.to_yaml(config.model):
        raise ConfigError(
            f"model.arch is {loaded.model.arch!r}, and model={loaded.model.name} is one network and takes none",
            f"leave it out, or choose model={' or model='.join(libraries.LISTED_BY)}",
        )
    targets.allow(loaded.allow)
    return loaded


def _check(loaded: RunConfig) -> None:
    """See that the values are of their types, which OmegaConf does not of what it interpolates or of lists' items.

    Raises:
        ConfigError: one is not, or is text that nothing can write down or take for a path.
    """
    try:
        builtins = msgspec.to_builtins(loaded, enc_hook=str)
        msgspec.convert(builtins, RunConfig)
    except (msgspec.ValidationError, TypeError, ValueError, OverflowError) as error:
        told = str(error).replace("$.", "").replace("`", "")
        raise ConfigError(f"the configuration has a value of another type: {told}", "see --cfg job for it") from error
    for path, text in _texts(builtins, ""):
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise ConfigError(
                f"{path} is {text[:80]!a}, which holds a NUL or is not UTF-8", "write it anew, or rename the file"
            )


def _texts(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text in a tree, keys of mappings too, and where it is."""
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            yield from _texts(item, f"{path}[{index}]")
    elif isinstance(node, dict):
        for key, item in node.items():
            yield from _texts(key, path)
            yield from _texts(item, f"{path}.{key}" if path else str(key))


def _unknown_keys(node: Any, path: str) -> Iterator[str]:
    if not isinstance(node, (DictConfig, ListConfig)) or node._is_none() or node._is_missing():
        return
    kind = OmegaConf.get_type(node)
    known = {field.name for field in fields(kind)} if is_dataclass(kind) else None
    keys: list[Any] = list(node) if isinstance(node, DictConfig) else list(range(len(node)))
    for key in keys:
        name = f"{path}.{key}" if path else str(key)
        if known is not None and key not in known:
            nearest = get_close_matches(str(key), known, n=1)
            yield f"there is no key {name}" + (f"; did you mean {nearest[0]}?" if nearest else "")
        elif not OmegaConf.is_interpolation(node, key) and not OmegaConf.is_missing(node, key):
            yield from _unknown_keys(node._get_node(key), name)

"""Write the text of a model's YAML and of a starter network for `python -m runner.new`. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.config.schema import CheckpointConfig, PreprocessConfig
from runner.core import TensorSpec

CLASSES = 10
"""How many outputs a starter network has."""
REFERENCE = "URL @ commit of the code that it was trained with"

_PLAIN = re.compile(r"[A-Za-z_][\w./@:-]*[\w/]|[A-Za-z_]")
_WORDS_OF_YAML = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"})
_LEVEL = "  "


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What is known of a model; `dataset` is the one to try it on if it does not take pictures."""

    name: str
    about: str
    task: str
    reference: str
    network: Mapping[str, Any]
    checkpoint: CheckpointConfig
    inputs: Sequence[TensorSpec]
    outputs: Sequence[str]
    preprocess: PreprocessConfig
    dataset: str | None = None
    classes: int | None = None
    top1: bool = False
    allow: Sequence[str] = field(default_factory=tuple)


def model_yaml(draft: Draft, command: str) -> str:
    """Return the text of the file; its first lines show `command`, which runs the model."""
    return "\n".join([*_heading(draft, command), *_body(draft), ""])


def network_module(class_name: str, inputs: Sequence[TensorSpec]) -> str:
    """Return the code of a small network with CLASSES outputs, to be replaced by the user's own."""
    convolves = len(inputs) == 1 and len(inputs[0].shape) == 3
    return (_CONVOLUTIONAL if convolves else _LINEAR).format(
        name=class_name,
        classes=CLASSES,
        channels=inputs[0].shape[0] if convolves else 0,
        numbers=sum(_numbers(spec) for spec in inputs),
        arguments=", ".join(f"{spec.name}: Tensor" for spec in inputs),
        first=inputs[0].name,
        flattened=", ".join(f"{spec.name}.flatten(1).float()" for spec in inputs),
    )


def _numbers(spec: TensorSpec) -> int:
    count = 1
    for size in spec.shape:
        count *= size
    return count


def _heading(draft: Draft, command: str) -> Iterator[str]:
    yield f"# {draft.about}. Written by python -m runner.new, and yours to edit. Run it:"
    yield f"#   {command}"
    yield f"name: {scalar(draft.name)}"
    yield f"task: {scalar(draft.task)}"
    yield f"reference: {scalar(draft.reference)}" + ("" if "://" in draft.reference else f"  # better: {REFERENCE}")
    if draft.dataset:
        yield ""
        yield "defaults:"
        yield f"  - override /dataset@_global_.dataset: {draft.dataset}  # a stand-in: name the data set that it is for"


def _body(draft: Draft) -> Iterator[str]:
    yield ""
    yield "network:  # a callable and its arguments"
    yield from _mapping(draft.network, _LEVEL)
    yield "checkpoint:  # weights=auto takes checkpoints/<file>, or fetches the url; weights=FILE any other"
    yield from _checkpoint(draft.checkpoint)
    yield "inputs:  # without the batch axis"
    for spec in draft.inputs:
        dtype = "" if spec.dtype == "float32" else f", dtype: {spec.dtype}"
        yield f"  - {{name: {scalar(spec.name)}, shape: {list(spec.shape)}{dtype}}}"
    yield f"outputs: {_flow(list(draft.outputs))}"
    yield "preprocess:  # as in the training: value = (stored * scale - mean) / std, per channel"
    yield from _preprocess(draft.preprocess)
    yield ""
    yield "fidelity:  # what the exported and the compiled model must keep of PyTorch's outputs"
    yield "  cosine: 0.999"
    if draft.top1:
        yield "  top1_agreement: 98.0  # percent"
    yield "# What later runs are checked against, percent and samples a second, each with its source:"
    yield "# published:"
    metric = "top1: 76.1" if draft.top1 else "METRIC: 100.0"
    figures = f"soc: 310P3, batch: 8, accuracy: {{{metric}}}, samples_per_second: 1234.5"
    yield f'#   - {{{figures}, source: "a table, a row"}}'


def _checkpoint(checkpoint: CheckpointConfig) -> Iterator[str]:
    fields = {
        "file": checkpoint.file,
        "url": checkpoint.url,
        "sha256": checkpoint.sha256,
        "where": checkpoint.where,
        "adapt": checkpoint.adapt,
    }
    yield from _mapping({key: value for key, value in fields.items() if value is not None}, _LEVEL, quoted=("sha256",))
    unwrap = _flow(list(checkpoint.unwrap) or ["state_dict", "model"])
    yield f"  unwrap: {unwrap}  # entries that may hold the parameters; a flat file is taken as it is"
    yield '  # rename: {net: ""}  # old prefix -> new prefix of the parameters\' names'


def _preprocess(preprocess: PreprocessConfig) -> Iterator[str]:
    if preprocess.crop is not None:
        yield f"  resize: {preprocess.resize}  # the shorter side, pixels"
        if not preprocess.keep_ratio:
            yield "  keep_ratio: false  # both sides become that"
        yield f"  interpolation: {preprocess.interpolation}"
        yield f"  crop: {preprocess.crop}  # the centre, pixels"
        yield f"  channels: {preprocess.channels}"
    scaled = abs(preprocess.scale - 1 / 255) < 1e-9
    yield f"  scale: {preprocess.scale!r}" + ("  # 1/255" if scaled else "")
    yield f"  mean: {list(preprocess.mean)}"
    yield f"  std: {list(preprocess.std)}"


def _mapping(values: Mapping[str, Any], indent: str, quoted: Sequence[str] = ()) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield f"{indent}{scalar(key)}:"
            yield from _mapping(value, indent + _LEVEL)
        else:
            yield f"{indent}{scalar(key)}: {json.dumps(value) if key in quoted else _flow(value)}"


def _flow(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_flow, value))}]"
    return scalar(value)


def scalar(value: Any) -> str:
    """Return a scalar as YAML, quoted if a reader might take it for a number or a keyword of YAML."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.casefold() not in _WORDS_OF_YAML:
        return value
    return json.dumps(value)


_CONVOLUTIONAL = '''"""A small network to begin with: put yours in its place."""

from torch import Tensor, nn


class {name}(nn.Module):
    def __init__(self, classes: int = {classes}) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d({channels}, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(8)
        )
        self.classifier = nn.Linear(16 * 8 * 8, classes)

    def forward(self, {arguments}) -> Tensor:
        return self.classifier(self.features({first}).flatten(1))
'''
_LINEAR = '''"""A small network to begin with: put yours in its place."""

import torch
from torch import Tensor, nn


class {name}(nn.Module):
    def __init__(self, classes: int = {classes}) -> None:
        super().__init__()
        self.classifier = nn.Sequential(nn.Linear({numbers}, 64), nn.ReLU(), nn.Linear(64, classes))

    def forward(self, {arguments}) -> Tensor:
        return self.classifier(torch.cat([{flattened}], dim=1))
'''

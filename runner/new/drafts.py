"""What is known of a model that `python -m runner.new` writes down, and the text of its YAML. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.config.schema import CheckpointConfig, OnnxConfig, PreprocessConfig, Text
from runner.core import FREE, TensorSpec
from runner.data import SCALES
from runner.new import tasks
from runner.tasks import TASKS
from runner.tasks.decode import METADATA

REFERENCE = "URL @ commit of the code that it was trained with"

_PLAIN = re.compile(r"[A-Za-z_][\w./@:-]*[\w/]|[A-Za-z_]")
_WORDS_OF_YAML = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"})
_LEVEL = "  "
_FITS = {
    "inside": "resized to fit in, and padded",
    "stretch": "resized to what the network takes",
    "none": "only padded",
}


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What is known of a model; `dataset` is the one to try it on, if it does not classify pictures.

    Either `onnx`, with its `opset` and its `batch` if that is fixed, or `network` and `checkpoint`. `guessed` is what
    the decoder takes for granted, to be checked. `reader` are arguments of the data set's reader, `weights` is what to
    try it with.
    """

    name: str
    about: str
    task: str
    reference: str
    inputs: Sequence[TensorSpec]
    outputs: Sequence[str]
    network: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    onnx: OnnxConfig | None = None
    opset: int | None = None
    batch: int | None = None
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    decode: Mapping[str, Any] = field(default_factory=dict)
    guessed: str | None = None
    dataset: str | None = None
    reader: Mapping[str, Any] = field(default_factory=dict)
    weights: str = "random"
    deviations: Sequence[Text] = ()
    top1: bool = False
    whole_numbers: bool = False
    allow: Sequence[str] = field(default_factory=tuple)


def model_yaml(draft: Draft, command: str) -> str:
    """Return the text of the file; its first lines show `command`, which runs the model."""
    return "\n".join([*_heading(draft, command), *_body(draft), ""])


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
    if draft.onnx is not None:
        yield from _onnx(draft.onnx)
    else:
        yield "network:  # a callable and its arguments"
        yield from _mapping(draft.network, _LEVEL)
        yield "checkpoint:  # weights=auto takes checkpoints/<file>, or fetches the url; weights=FILE any other"
        yield from _checkpoint(draft.checkpoint)
    free = "; null is a size that differs between samples" if any(spec.is_free for spec in draft.inputs) else ""
    yield f"inputs:  # without the batch axis{free}"
    for spec in draft.inputs:
        dtype = "" if spec.dtype == "float32" else f", dtype: {spec.dtype}"
        shape = [None if size == FREE else size for size in spec.shape]
        yield f"  - {{name: {scalar(spec.name)}, shape: {_flow(shape)}{dtype}}}"
    yield f"outputs: {_flow(list(draft.outputs))}" + ("  # or any tensor inside, to cut it there" if draft.onnx else "")
    yield "preprocess:  # as in the training: value = (stored * scale - mean) / std, per channel"
    yield from _preprocess(draft.preprocess)
    yield from _decode(draft)
    if draft.deviations:
        yield "deviations:"
        for text in draft.deviations:
            first, *others = _mapping(text if isinstance(text, Mapping) else {"en": text}, _LEVEL * 2)
            yield from (f"  - {first.lstrip()}", *others)
    if draft.opset is not None:
        yield "export:  # as the file is"
        yield f"  opset: {draft.opset}"
        if draft.batch is not None:
            yield f"  fixed_batch: true  # to {draft.batch}"
    yield ""
    reference = "of PyTorch's outputs" if draft.onnx is None else "of the outputs of ONNX Runtime without optimisation"
    yield f"fidelity:  # what the exported and the compiled model must keep {reference}"
    yield "  cosine: 0.999"
    if draft.whole_numbers:
        yield "  equal: 99.0  # percent of equal whole numbers"
    if draft.top1:
        yield "  top1_agreement: 98.0  # percent"
    yield "# What later runs are checked against, in the metrics' units and samples a second, each with its source:"
    yield "# published:"
    figures = f"soc: 310P3, batch: 8, accuracy: {{{tasks.FIGURES.get(draft.task, 'METRIC: 100.0')}}}"
    figures += ", samples_per_second: 1234.5"
    yield f'#   - {{{figures}, source: "a table, a row"}}'


def _onnx(onnx: OnnxConfig) -> Iterator[str]:
    yield "onnx:  # weights=auto takes checkpoints/<file>, or fetches the url; weights=FILE any other"
    fields = {"file": onnx.file, "sha256": onnx.sha256, "size_bytes": onnx.size_bytes, "made_by": onnx.made_by}
    yield from _mapping({key: value for key, value in fields.items() if value is not None}, _LEVEL, quoted=("sha256",))
    yield "  # url: where it can be fetched; or where: how to get it by hand"


def _decode(draft: Draft) -> Iterator[str]:
    if draft.decode:
        yield "decode:  # from the outputs to results"
        yield from _mapping(draft.decode, _LEVEL)
        if draft.guessed:
            yield f"  # to be checked: {draft.guessed}"
        if not str(draft.decode.get("alphabet", METADATA)).startswith(METADATA):
            yield "  # the alphabet is a stand-in: the characters in the order of the classes, without the blank"
    elif draft.task in TASKS and TASKS[draft.task].is_decoded:
        yield "# the outputs' shapes do not show how they are decoded; docs/tasks.md lists the decoders:"
        yield f"# decode: {{_target_: runner.tasks.{TASKS[draft.task].folder}.NAME}}"


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
    if checkpoint.rename:
        yield "  rename:"
        yield from _mapping(checkpoint.rename, _LEVEL * 2)
    else:
        yield '  # rename: {net: ""}  # old prefix -> new prefix of the parameters\' names'


def _preprocess(preprocess: PreprocessConfig) -> Iterator[str]:
    if preprocess.fit != "shorter":
        yield from _fit(preprocess)
    elif preprocess.crop is not None:
        yield f"  resize: {preprocess.resize}  # the shorter side, pixels"
        if not preprocess.keep_ratio:
            yield "  keep_ratio: false  # both sides become that"
        yield f"  interpolation: {preprocess.interpolation}"
        yield f"  crop: {preprocess.crop}  # the centre, pixels"
        yield f"  channels: {preprocess.channels}"
    yield f"  scale: {_scale(preprocess.scale)}"
    yield f"  mean: {list(preprocess.mean)}"
    yield f"  std: {list(preprocess.std)}"


def _scale(scale: float) -> str:
    if math.isnan(scale):
        return f".nan  # to be set: {SCALES}"
    return f"{scale!r}" + ("  # 1/255" if abs(scale - 1 / 255) < 1e-9 else "")


def _fit(preprocess: PreprocessConfig) -> Iterator[str]:
    yield f"  fit: {preprocess.fit}  # {_FITS[preprocess.fit]}"
    if preprocess.size is not None:
        yield f"  size: {preprocess.size}"
    if preprocess.fit != "none":
        yield f"  interpolation: {preprocess.interpolation}"
    if preprocess.fit != "stretch":
        yield f"  pad: {preprocess.pad}  # where a picture lies that is padded"
        yield f"  pad_value: {_flow(preprocess.pad_value)}  # 0 to 255"
    if preprocess.multiple > 1:
        yield f"  multiple: {preprocess.multiple}  # free sides are padded to a multiple of it"
    elif preprocess.fit == "none":
        yield "  # multiple: 32  # what sides are padded to a multiple of, if the network needs that"
    yield f"  channels: {preprocess.channels}"


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
    return json.dumps(value, ensure_ascii=False)

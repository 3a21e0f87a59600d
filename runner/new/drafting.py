"""Draft a model from what is known of it: what a library says, what a network returns, what an ONNX file declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.config import libraries, loading, options, permissions, schema, targets
from runner.config.schema import CheckpointConfig, OnnxConfig, PreprocessConfig
from runner.config.yaml_files import UNUSABLE
from runner.core import ConfigError, did_you_mean
from runner.core.modules import LIBRARIES
from runner.new import outside, probing, tasks
from runner.new.drafts import Draft
from runner.new.probing import Probed, Wanted

IMAGENET_CLASSES = 1000
"""How many classes the synthetic pictures have by default."""
SHARE_LEFT_BY_CROP = 0.875
"""Crop relative to the resized picture's side, as in most ImageNet evaluations: 224 of 256."""


def of_library(name: str, arch: str, library: str | None) -> Draft:
    """Draft a network of a library from what the library says; without a library, torchvision's or else timm's.

    Raises:
        ConfigError: no library has the network, or the runner cannot run it.
    """
    from runner.config.compose import compose
    from runner.pipeline.setup import Setup

    chosen = library or _library_of(arch)
    config = loading.load(compose([f"model={chosen}", f"model.arch={arch}"]))
    model = config.model
    draft = Draft(
        name=name,
        about=f"{arch} of {chosen}",
        task=model.task,
        reference=model.reference,
        network=model.network,
        checkpoint=model.checkpoint,
        inputs=Setup(config).inputs,
        outputs=model.outputs,
        preprocess=model.preprocess,
        decode=model.decode,
        deviations=model.deviations,
        top1=model.task == tasks.CLASSIFICATION,
    )
    if model.task == tasks.CLASSIFICATION:
        return replace(draft, reader=_fewer_classes(model.network, model.network.get("num_classes")))
    return replace(draft, dataset=tasks.DATASETS[model.task])


def _library_of(arch: str) -> str:
    """Return the first library that has the network; torchvision first, as its weights need no account."""
    cache_dir = Path(schema.RunConfig().cache_dir).absolute()
    catalogues = {}
    for library in sorted(libraries.LISTED_BY, reverse=True):
        catalogues[library] = libraries.catalogue_of(library, cache_dir)
        if arch in catalogues[library].networks or arch in catalogues[library].refused:
            return library
    hint = did_you_mean(arch, {name for catalogue in catalogues.values() for name in catalogue.networks})
    raise ConfigError(
        f"neither {' nor '.join(catalogues)} has a network {arch}",
        f"{hint} a network of your own: --network my_pkg.net.Net".lstrip(),
    )


def node(network: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return `model.network` in the terms of YAML, of a callable's name and arguments NAME=VALUE.

    Raises:
        ConfigError: an argument is no NAME=VALUE, or its value is no YAML.
    """
    import yaml

    given: dict[str, Any] = {"_target_": network}
    for text in arguments:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigError(f"--argument {text} is no NAME=VALUE", "give it as in --argument classes=10")
        try:
            given[name] = yaml.safe_load(value)
        except UNUSABLE as error:
            raise ConfigError(f"--argument {text}: its value is no YAML", "quote it, as in classes='\"10\"'") from error
    return given


def _called(node: Any) -> Iterator[str]:
    """Yield the names of the callables in a node of YAML, at any depth."""
    if isinstance(node, Mapping):
        yield from (name for key, name in node.items() if key == "_target_" and isinstance(name, str))
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _called(each)


def of_network(name: str, node: dict[str, Any], task: str | None, inputs: Sequence[Wanted], folder: Path) -> Draft:
    """Draft a user's network, `model.network` in the terms of YAML, from its probed inputs and outputs.

    Packages beside `folder` can be imported. Without a task, it is image_classification if the shapes show that.

    Raises:
        ConfigError: the network cannot be built or called, or does not fit the task.
    """
    options.make_importable(folder)
    packages = dict.fromkeys(called.split(".")[0] for called in _called(node))
    allow = tuple(package for package in packages if package not in ("zoo", *LIBRARIES))
    permissions.allow(allow)
    target = targets.parse(node, "model.network")
    probed = probing.probe(target, inputs, twice=task in tasks.LAID_OUT)
    draft = Draft(
        name=name,
        about=target.name,
        task="unknown",
        reference=target.name,
        network=node,
        checkpoint=CheckpointConfig(file=f"{name}.pth", where="whoever trained it"),
        inputs=probed.inputs,
        outputs=[spec.name for spec in probed.outputs],
        dataset=tasks.NOISE,
        whole_numbers=not all(spec.is_floating for spec in probed.outputs),
        allow=allow,
    )
    return _for_task(draft, task, probed, {})


def of_onnx(name: str, path: Path, task: str | None, inputs: Sequence[Wanted]) -> Draft:
    """Draft an ONNX file from outside from its declaration and what a run of it returns.

    Raises:
        ConfigError: it is no file, or does not fit the inputs or the task. ExportError: it is no usable ONNX model.
    """
    model = outside.read(path, inputs)
    draft = Draft(
        name=name,
        about=f"{path.name}, an ONNX file from outside",
        task="unknown",
        reference=path.name,
        onnx=OnnxConfig(
            file=path.name, sha256=model.sha256, size_bytes=model.size_bytes, made_by=model.producer or None
        ),
        opset=model.opset,
        batch=model.batch,
        inputs=model.probed.inputs,
        outputs=[spec.name for spec in model.probed.outputs],
        dataset=tasks.NOISE,
        weights=str(path),
        whole_numbers=not all(spec.is_floating for spec in model.probed.outputs),
    )
    return _for_task(draft, task, model.probed, model.metadata)


def _for_task(draft: Draft, task: str | None, probed: Probed, metadata: Mapping[str, str]) -> Draft:
    """Complete a draft with what its task needs."""
    if task is None:
        is_square = probed.inputs[0].shape[1:2] == probed.inputs[0].shape[2:]
        return _of_pictures(draft, probed) if is_square and _classifies_pictures(probed) else draft
    if task == tasks.CLASSIFICATION:
        if not _classifies_pictures(probed):
            raise ConfigError(
                f"the network takes {tasks.shown(probed.inputs)} and returns {tasks.shown(probed.outputs)}, and --task"
                f" {task} is for one float32 input [1 or 3, height, width] and one output [classes]",
                "leave --task out, or say what the network takes, as in --input 3,224,224",
            )
        return _of_pictures(draft, probed)
    decoded = tasks.decoded(task, probed.inputs, probed.outputs, metadata, probed.growing)
    draft = replace(draft, task=task, preprocess=tasks.preprocessing(task, probed.inputs[0]))
    if decoded is None:
        return draft
    own = [argument for argument in ("classes", "num_classes") if argument in draft.network]
    reader = {key: value for key, value in decoded.reader.items() if key != "classes" or not own}
    return replace(draft, decode=decoded.decode, guessed=decoded.guessed, dataset=tasks.DATASETS[task], reader=reader)


def _classifies_pictures(probed: Probed) -> bool:
    """Whether the network takes one picture, grey or in colour, and returns a score for each class."""
    return tasks.takes_pictures(probed.inputs) and [len(spec.shape) for spec in probed.outputs] == [1]


def _of_pictures(draft: Draft, probed: Probed) -> Draft:
    channels, height, width = probed.inputs[0].shape
    renamed = draft.onnx is None  # what a network returns has no name of its own
    names = ["class" if renamed and spec.name == "output" else spec.name for spec in probed.outputs]
    fitted: dict[str, Any] = {"resize": round(height / SHARE_LEFT_BY_CROP), "crop": height}
    if channels == 1 or height != width:
        fitted = {"fit": "stretch", "channels": "grey" if channels == 1 else "rgb"}
    preprocess = PreprocessConfig(mean=[0.0] * channels, std=[1.0] * channels, **fitted)
    classes = probed.outputs[0].shape[0]
    return replace(
        draft,
        task=tasks.CLASSIFICATION,
        outputs=names,
        preprocess=preprocess,
        dataset=None,
        reader=_fewer_classes(draft.network, classes),
        top1=classes > 1,
    )


def _fewer_classes(network: Mapping[str, Any], classes: int | None) -> dict[str, int]:
    """Return the argument that the reader of synthetic pictures needs, which takes `num_classes` by itself.

    A network of num_classes 0 returns its features, as many as `classes`.
    """
    if classes is None or classes == network.get("num_classes"):
        return {}
    return {"classes": classes} if classes < IMAGENET_CLASSES else {}

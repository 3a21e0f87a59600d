"""`python -m runner.new NAME --arch ARCH | --network my_pkg.net.Net | --onnx FILE`: write a model's YAML."""

from __future__ import annotations

import argparse
import importlib.util
import math
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from runner import cli
from runner.cli import Parser
from runner.config import groups, libraries, options, schema, targets
from runner.config.schema import CheckpointConfig, OnnxConfig, PreprocessConfig
from runner.core import (
    DTYPES,
    FREE,
    ConfigError,
    StoreError,
    TensorSpec,
    did_you_mean,
    either,
    likeness,
    nearest,
    write_atomically,
)
from runner.core.modules import LIBRARIES
from runner.new import drafts, tasks
from runner.new.drafts import Draft

FOLDER = Path("zoo_conf")
LIMIT = 8
"""How many samples the suggested run uses."""
DEFAULT_INPUT = "image:3,32,32"
"""The default input of a starter network."""
IMAGENET_CLASSES = 1000
"""How many classes the synthetic pictures have by default."""
SHARE_LEFT_BY_CROP = 0.875
"""Crop relative to the resized picture's side, as in most ImageNet evaluations: 224 of 256."""
LEAST_ALIKE = 0.75
"""Least likeness of an existing package to be suggested for a missing one."""

_NAME = re.compile(r"[A-Za-z]\w*(-\w+)*")
_INPUT = re.compile(r"(?:(?P<name>[A-Za-z_][\w.]*):)?(?P<shape>(?:\d+|null)(?:,(?:\d+|null))*)(?::(?P<dtype>\w+))?")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files and print the command that runs the model; return 0, or 1 on an error."""
    return cli.exit_code_of(lambda: _new(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m runner.new",
        description="Write DIR/model/NAME.yaml for a network or an ONNX file, and say what runs it.",
    )
    parser.add_argument("name", metavar="NAME", help="what the model is to be called: model=NAME")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--arch", help="a network of torchvision or timm, as in --arch resnet18")
    which.add_argument(
        "--network",
        metavar="PKG.MODULE.NAME",
        help="a network of yours, a class or a function; a package that is not there is written beside DIR",
    )
    which.add_argument("--onnx", type=Path, metavar="FILE", help="an ONNX file from outside, without a network")
    parser.add_argument(
        "--task",
        choices=tasks.NAMES,
        help="what a --network or --onnx is for [image_classification where its outputs are scores of classes]",
    )
    parser.add_argument("--library", choices=sorted(libraries.LISTED_BY), help="whose --arch [torchvision, else timm]")
    parser.add_argument(
        "--argument",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument of --network; may be repeated",
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="[NAME:]3,224,224[:DTYPE]",
        help="an input of --network without the batch axis, where it cannot be found, or of --onnx, where its sizes are"
        " free; null is a size that differs between samples; may be repeated",
    )
    parser.add_argument(
        "--scale",
        metavar="NUMBER",
        help="what the pictures of a --network or --onnx, bytes from 0 to 255, are multiplied by, as in its training:"
        " 1/255 for 0 to 1 [left to be set in the file]",
    )
    parser.add_argument(
        "--dir", type=Path, default=FOLDER, metavar="DIR", help=f"a zoo of yours, made where it is missing [{FOLDER}]"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the model's file")
    return parser


def _new(asked: argparse.Namespace) -> None:
    path = asked.dir / "model" / f"{asked.name}.yaml"
    _check(asked, path)
    written = []
    inputs = [_input(text) for text in asked.input]
    scale = None if asked.scale is None else _scale(asked.scale)
    if asked.arch:
        draft = _of_library(asked.name, asked.arch, asked.library)
    elif asked.onnx:
        draft = _of_onnx(asked.name, asked.onnx, asked.task, inputs)
    else:
        if _is_missing(asked.network, asked.dir):
            if asked.task not in (None, tasks.CLASSIFICATION):
                raise ConfigError(
                    f"there is no package {asked.network.split('.')[0]}, and the network to begin with classifies",
                    f"write the network of {asked.task} first, or leave --task out",
                )
            inputs = inputs or [_input(DEFAULT_INPUT)]
            written = [_write_starter_network(asked.network, inputs, asked.dir)]
        draft = _of_network(asked.name, _node(asked.network, asked.argument), asked.task, inputs, asked.dir)
    if not asked.arch:
        draft = replace(draft, preprocess=replace(draft.preprocess, scale=scale or _default_scale(draft.inputs)))
    command = shlex.join(_command(draft, asked.dir))
    _write(path, drafts.model_yaml(draft, command))
    _check_composes(draft, asked.dir)
    for file in [*written, path]:
        print(f"wrote {file}")
    if math.isnan(draft.preprocess.scale):
        print("to be set in it: scale, as in the training (the command tries 1/255); or give --scale")
    print(f"now: {command}")


def _check(asked: argparse.Namespace, path: Path) -> None:
    if not _NAME.fullmatch(asked.name):
        raise ConfigError(
            f"{asked.name!r} cannot be a model's name", "use letters, digits, - and _, a letter first, as in my_model"
        )
    own = groups.CONF / "model" / path.name
    if own.is_file():
        raise ConfigError(
            f"the runner has a model {asked.name} of its own, which would hide yours",
            f"choose another name, as in my_{asked.name}; python -m runner.list model lists those that are taken",
        )
    if path.exists() and not asked.force:
        raise ConfigError(f"{path} is there already", "choose another name, or --force to overwrite it")
    if asked.arch and (asked.input or asked.argument or asked.task or asked.scale):
        raise ConfigError(
            "--input, --argument, --task and --scale go with --network", "leave them out: --arch knows its own"
        )
    if asked.onnx and asked.argument:
        raise ConfigError("--argument goes with --network", "leave it out: an ONNX file takes none")
    if asked.library and not asked.arch:
        given = "--network" if asked.network else "--onnx"
        raise ConfigError("--library goes with --arch", f"leave it out, or give --arch NAME instead of {given}")


def _of_library(name: str, arch: str, library: str | None) -> Draft:
    """Draft a network of a library from what the library says."""
    from runner.config.compose import compose

    chosen = library or _library_of(arch)
    config = schema.load(compose([f"model={chosen}", f"model.arch={arch}"]))
    model = config.model
    draft = Draft(
        name=name,
        about=f"{arch} of {chosen}",
        task=model.task,
        reference=model.reference,
        network=model.network,
        checkpoint=model.checkpoint,
        inputs=[
            TensorSpec(tensor.name, tensor.dtype, tuple(FREE if size is None else size for size in tensor.shape))
            for tensor in model.inputs
        ],
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


def _scale(text: str) -> float:
    try:
        scale = float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        scale = 0.0
    if scale <= 0:
        raise ConfigError(f"--scale {text} is no number above 0", "give it as in --scale 1/255 or --scale 1")
    return scale


def _default_scale(inputs: Sequence[TensorSpec]) -> float:
    """Return 1 where no input takes pictures, else NaN, which the user must replace: a network does not tell it."""
    takes_pictures = any(spec.is_floating and len(spec.shape) == 3 and spec.shape[1:] != (1, 1) for spec in inputs)
    return math.nan if takes_pictures else 1.0


def _node(network: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return `model.network` in the terms of YAML."""
    import yaml

    given: dict[str, Any] = {"_target_": network}
    for text in arguments:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigError(f"--argument {text} is no NAME=VALUE", "give it as in --argument classes=10")
        try:
            given[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
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


def _input(text: str) -> Any:
    from runner.new.probing import Wanted

    match = _INPUT.fullmatch(text)
    if not match:
        raise ConfigError(f"--input {text} is no shape", "give it as in --input 3,224,224 or --input ids:128:int64")
    dtype = match["dtype"] or "float32"
    if dtype not in DTYPES:
        raise ConfigError(f"--input {text}: there is no dtype {dtype}", f"choose from {', '.join(DTYPES)}")
    sizes = (FREE if size == "null" else int(size) for size in match["shape"].split(","))
    return Wanted(match["name"], tuple(sizes), dtype)


def _of_network(name: str, node: dict[str, Any], task: str | None, inputs: Sequence[Any], folder: Path) -> Draft:
    """Draft a user's network from its probed inputs and outputs."""
    from runner.new import probing

    options.make_importable(folder)
    packages = dict.fromkeys(called.split(".")[0] for called in _called(node))
    allow = tuple(package for package in packages if package not in ("zoo", *LIBRARIES))
    targets.allow(allow)
    target = targets.parse(node, "model.network")
    probed = probing.probe(target, inputs)
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


def _of_onnx(name: str, path: Path, task: str | None, inputs: Sequence[Any]) -> Draft:
    """Draft an ONNX file from outside from its declaration and what a run of it returns."""
    from runner.new import outside

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


def _for_task(draft: Draft, task: str | None, probed: Any, metadata: Mapping[str, str]) -> Draft:
    """Complete a draft with what its task needs."""
    if task in (None, tasks.CLASSIFICATION):
        return _of_pictures(draft, probed) if _classifies_pictures(probed) else draft
    decoded = tasks.decoded(task, probed.inputs, probed.outputs, metadata)
    draft = replace(draft, task=task, preprocess=tasks.preprocessing(task, probed.inputs[0]))
    if decoded is None:
        return draft
    own = [argument for argument in ("classes", "num_classes") if argument in draft.network]
    reader = {key: value for key, value in decoded.reader.items() if key != "classes" or not own}
    return replace(draft, decode=decoded.decode, dataset=tasks.DATASETS[task], reader=reader)


def _classifies_pictures(probed: Any) -> bool:
    """Whether the network takes one square picture, grey or in colour, and returns a score for each class."""
    if len(probed.inputs) != 1 or len(probed.outputs) != 1 or len(probed.inputs[0].shape) != 3:
        return False
    channels, height, width = probed.inputs[0].shape
    floats = probed.inputs[0].dtype == "float32"
    return bool(floats and channels in (1, 3) and height == width and len(probed.outputs[0].shape) == 1)


def _of_pictures(draft: Draft, probed: Any) -> Draft:
    channels, side, _ = probed.inputs[0].shape
    renamed = draft.onnx is None  # what a network returns has no name of its own
    names = ["class" if renamed and spec.name == "output" else spec.name for spec in probed.outputs]
    fitted: dict[str, Any] = {"resize": round(side / SHARE_LEFT_BY_CROP), "crop": side}
    if channels == 1:
        fitted = {"fit": "stretch", "channels": "grey"}
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
    """Return the argument that the reader of synthetic pictures needs, which reads `num_classes` itself."""
    needed = classes is not None and classes < IMAGENET_CLASSES and "num_classes" not in network
    return {"classes": classes} if needed and classes is not None else {}


def _is_missing(network: str, folder: Path) -> bool:
    """Whether a network's package does not exist, so that a starter network may be written.

    Raises:
        ConfigError: it is not a dotted name, or it is close to the name of an existing package.
    """
    package, *rest = network.split(".")
    fix = "name the class, as in --network my_pkg.net.Net for my_pkg/net.py"
    if not rest or not all(name.isidentifier() for name in (package, *rest)):
        raise ConfigError(f"{network} is no PACKAGE.MODULE.NAME", fix)
    beside = folder.absolute().parent
    if importlib.util.find_spec(package) or (beside / package).is_dir() or (beside / f"{package}.py").is_file():
        return False
    present = {path.parent.name for path in beside.glob("*/*.py")}
    near = [name for name in nearest(package, present) if likeness(package, name) >= LEAST_ALIKE]
    if near:
        raise ConfigError(f"there is no package {package}", f"did you mean {either(near)}?")
    if len(rest) < 2:
        raise ConfigError(f"there is no package {package}, and no module of it is named to begin one", fix)
    return True


def _write_starter_network(network: str, inputs: Sequence[Any], folder: Path) -> Path:
    """Write a small network that takes the inputs; return its file."""
    package, *modules, class_name = network.split(".")
    specs = [
        TensorSpec(wanted.name or f"input{index}", wanted.dtype, wanted.shape) for index, wanted in enumerate(inputs)
    ]
    path = folder.parent.joinpath(package, *modules).with_suffix(".py")
    _write(path, drafts.network_module(class_name, specs))
    _write(folder.parent / package / "__init__.py", "")
    return path


def _command(draft: Draft, folder: Path) -> list[str]:
    """Return the command that runs the model without a checkpoint or a data set of files."""
    words = ["python", "-m", "runner", groups.CONFIG_DIR, str(folder)]
    words += [f"allow=[{','.join(draft.allow)}]"] if draft.allow else []
    words += [f"model={draft.name}", f"weights={draft.weights}"]
    words += ["dataset=synthetic_images"] if draft.dataset is None else []
    words += [f"dataset.reader.{key}={value}" for key, value in draft.reader.items()]
    words += [f"batch={draft.batch}"] if draft.batch is not None else []
    return [*words, *_tried_scale(draft), f"limit={LIMIT}"]


def _tried_scale(draft: Draft) -> list[str]:
    """Return the override that a run needs while the scale is to be set."""
    return [f"model.preprocess.scale={1 / 255}"] if math.isnan(draft.preprocess.scale) else []


def _check_composes(draft: Draft, folder: Path) -> None:
    """Check that the written model composes, so that the command will work."""
    from runner.config.compose import compose

    allow = [f"allow=[{','.join(draft.allow)}]"] if draft.allow else []
    schema.load(compose([groups.CONFIG_DIR, str(folder), *allow, f"model={draft.name}", *_tried_scale(draft)]))


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}", "choose another folder with --dir") from error


if __name__ == "__main__":
    sys.exit(main())

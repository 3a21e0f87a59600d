"""`python -m runner.new NAME --arch ARCH | --network my_pkg.net.Net | --onnx FILE`: write a model's YAML."""

from __future__ import annotations

import argparse
import math
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from runner import cli
from runner.config import groups, libraries, loading
from runner.core import DTYPES, FREE, ConfigError, StoreError, TensorSpec, write_atomically
from runner.data import predictions
from runner.new import drafting, drafts, starter, tasks
from runner.new.drafts import Draft
from runner.new.probing import Wanted

FOLDER = Path("zoo_conf")
LIMIT = 8
"""How many samples the suggested run uses."""
LONGEST_NAME = 100
"""Characters of a model's name, which files and folders are named for; file systems take 255 bytes."""
LARGEST_SIZE = 1 << 20
"""Limit of each size of an input."""

_NAME = re.compile(r"[A-Za-z]\w*(-\w+)*", re.ASCII)
_INPUT = re.compile(
    r"(?:(?P<name>[A-Za-z_][\w.]*):)?(?P<shape>(?:\d{1,9}|null)(?:,(?:\d{1,9}|null))*)(?::(?P<dtype>\w+))?"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files and print the command that runs the model; return 0, or 1 on an error."""
    return cli.exit_code_of(lambda: _new(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
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
    inputs = [_input(text) for text in asked.input]
    scale = None if asked.scale is None else _scale(asked.scale)
    written = []
    with ExitStack() as undo:  # what was written, if a later step fails
        if asked.network is not None and starter.is_missing(asked.network, asked.dir):
            inputs = inputs or [starter.DEFAULT_INPUT]
            undo.callback(shutil.rmtree, asked.dir.parent / asked.network.partition(".")[0], ignore_errors=True)
            written = _write_starter(asked, inputs)
        draft = _draft(asked, inputs)
        _check_outputs(draft.outputs)
        if asked.arch is None:
            draft = replace(draft, preprocess=replace(draft.preprocess, scale=scale or _default_scale(draft.inputs)))
        command = shlex.join(_command(draft, asked.dir))
        _write(path, drafts.model_yaml(draft, command))
        undo.callback(path.unlink)
        _check_composes(draft, asked.dir)
        undo.pop_all()
    for file in [*written, path]:
        print(f"wrote {file}")
    if math.isnan(draft.preprocess.scale):
        print("to be set in it: scale, as in the training (the command tries 1/255); or give --scale")
    print(f"now: {command}")


def _draft(asked: argparse.Namespace, inputs: Sequence[Wanted]) -> Draft:
    if asked.arch is not None:
        return drafting.of_library(asked.name, asked.arch, asked.library)
    if asked.onnx is not None:
        return drafting.of_onnx(asked.name, asked.onnx, asked.task, inputs)
    node = drafting.node(asked.network, asked.argument)
    return drafting.of_network(asked.name, node, asked.task, inputs, asked.dir)


def _check(asked: argparse.Namespace, path: Path) -> None:
    if not _NAME.fullmatch(asked.name) or len(asked.name) > LONGEST_NAME or drafts.scalar(asked.name) != asked.name:
        raise ConfigError(
            f"{asked.name!r} cannot be a model's name",
            f"use at most {LONGEST_NAME} letters, digits, - and _, a letter first, and no word of YAML, as in my_model",
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


def _check_outputs(names: Sequence[str]) -> None:
    if predictions.IDS in names:
        raise ConfigError(
            f"an output is called {predictions.IDS}, as is the array of the samples' names that is stored beside it",
            "return it by another name, or without one, from the network; an ONNX file must be exported anew, with"
            " another name for it",
        )


def _scale(text: str) -> float:
    over, slash, under = text.partition("/")
    try:
        scale = float(over) / float(under if slash else 1)
    except (ValueError, ZeroDivisionError):
        scale = math.nan
    if not 0 < scale < math.inf:
        raise ConfigError(f"--scale {text} is no number above 0", "give it as in --scale 1/255 or --scale 1")
    return scale


def _default_scale(inputs: Sequence[TensorSpec]) -> float:
    """Return 1 where no input takes pictures, else NaN, which the user must replace: a network does not tell it."""
    takes_pictures = any(spec.is_floating and len(spec.shape) == 3 and spec.shape[1:] != (1, 1) for spec in inputs)
    return math.nan if takes_pictures else 1.0


def _input(text: str) -> Wanted:
    match = _INPUT.fullmatch(text)
    if not match:
        raise ConfigError(f"--input {text} is no shape", "give it as in --input 3,224,224 or --input ids:128:int64")
    dtype = match["dtype"] or "float32"
    if dtype not in DTYPES:
        raise ConfigError(f"--input {text}: there is no dtype {dtype}", f"choose from {', '.join(DTYPES)}")
    sizes = tuple(FREE if size == "null" else int(size) for size in match["shape"].split(","))
    if not all(size == FREE or 1 <= size <= LARGEST_SIZE for size in sizes):
        raise ConfigError(f"--input {text} has a size that is not 1 to {LARGEST_SIZE}", "give sizes, or null for any")
    return Wanted(match["name"], sizes, dtype)


def _write_starter(asked: argparse.Namespace, inputs: Sequence[Wanted]) -> list[Path]:
    """Write a small network that takes the inputs, and return its files."""
    if asked.task not in (None, tasks.CLASSIFICATION):
        raise ConfigError(
            f"there is no package {asked.network.split('.')[0]}, and the network to begin with classifies",
            f"write the network of {asked.task} first, or leave --task out",
        )
    file, code = starter.module(asked.network, inputs)
    beside = asked.dir.parent
    _write(beside / file, code)
    _write(beside / file.parts[0] / "__init__.py", "")
    return [beside / file]


def _command(draft: Draft, folder: Path) -> list[str]:
    """Return the command that runs the model without a checkpoint or a data set of files."""
    words = ["python", "-m", "runner", *_chosen(draft, folder), f"weights={draft.weights}"]
    words += ["dataset=synthetic_images"] if draft.dataset is None else []
    words += [f"dataset.reader.{key}={value}" for key, value in draft.reader.items()]
    words += [f"batch={draft.batch}"] if draft.batch is not None else []
    return [*words, *_tried_scale(draft), f"limit={LIMIT}"]


def _chosen(draft: Draft, folder: Path) -> list[str]:
    """Return the arguments that choose the model, and allow what it imports."""
    allow = [f"allow=[{','.join(draft.allow)}]"] if draft.allow else []
    return [groups.CONFIG_DIR, str(folder), *allow, f"model={draft.name}"]


def _tried_scale(draft: Draft) -> list[str]:
    """Return the override that a run needs while the scale is to be set."""
    return [f"model.preprocess.scale={1 / 255}"] if math.isnan(draft.preprocess.scale) else []


def _check_composes(draft: Draft, folder: Path) -> None:
    """Check that the written model composes, so that the command will work."""
    from runner.config.compose import compose

    loading.load(compose([*_chosen(draft, folder), *_tried_scale(draft)]))


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}", "choose another folder with --dir") from error


if __name__ == "__main__":
    sys.exit(main())

"""`python -m runner.guide model=NAME`: write a model's guide from its YAML, its commands and existing results."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from runner import cli, results
from runner.config import groups, loading, overrides
from runner.config.schema import RunConfig
from runner.core import (
    ConfigError,
    DataError,
    OnnxModel,
    StoreError,
    TensorSpec,
    visible,
    write_atomically,
)
from runner.core.lazy import torch
from runner.guide import by_hand, figures, page, wording
from runner.guide.subject import Subject
from runner.networks import construct, named_outputs
from runner.pipeline.setup import Setup, open_store
from runner.results import Result

SOC = "310P3"
"""The default SoC of a guide."""


@dataclass(frozen=True)
class Request:
    """A parsed command line: the overrides as typed without batch and lang, the batch sizes, and the language."""

    typed: tuple[str, ...]
    batches: tuple[int, ...] | None
    language: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the guide to standard output or a file; return 0, or 1 on an error."""
    return cli.exit_code_of(lambda: _print_or_write(_parser().parse_intermixed_args(arguments)))


def _print_or_write(options: argparse.Namespace) -> None:
    own = groups.config_dir_arguments(options.config_dir)
    subject = _subject(parse([*own, *options.overrides]), options.results)
    if options.script:
        _write(options.script, _script(subject, options.script), "script", "--script")
    if options.out:
        _write(options.out, page.write(subject) + "\n", "guide", "--out")
    elif not options.script:
        print(visible(page.write(subject)))


def parse(arguments: Sequence[str]) -> Request:
    """Parse the words of the command line.

    Raises:
        ConfigError: an unknown language, or a batch size that is not a number.
    """
    words = [argument.partition("=") for argument in arguments]
    given = {name: value for name, _, value in words}  # the last of several counts, as in a run
    language = given.get("lang", "zh")
    if language not in wording.LANGUAGES:
        raise ConfigError(f"lang is {language!r}", f"choose from {', '.join(wording.LANGUAGES)}")
    typed = [argument for argument, (name, _, _) in zip(arguments, words, strict=True) if name not in ("lang", "batch")]
    if "model" not in given:
        raise ConfigError("no model is named", "name one, as in python -m runner.guide model=dcgan lang=en")
    if "soc" not in given:
        typed.append(f"soc={SOC}")
    batches = _batch_sizes(f"batch={given['batch']}") if "batch" in given else None
    return Request(tuple(typed), batches, language)


def _parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        prog="python -m runner.guide",
        description="The guide of a model, in Markdown: from its YAML, its commands and the results at hand.",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="model=NAME, and soc=NAME [310P3], batch=N,M [as published], lang=zh|en [zh], tool=NAME, dataset=NAME,"
        " dataset.root=DIR",
    )
    parser.add_argument(*groups.CONFIG_DIR_FLAGS, metavar="DIR", help="a zoo of yours, as the runner takes it")
    parser.add_argument("--results", type=Path, metavar="DIR", help="where result.json files lie [outputs]")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write it [standard output]")
    parser.add_argument(
        "--script", type=Path, metavar="FILE", help="write the guide's commands as a bash script, in place of the guide"
    )
    return parser


def _batch_sizes(argument: str) -> tuple[int, ...]:
    sizes = re.findall(r"'(-?\d+)'", overrides.adapt([argument], list)[0])
    if not sizes or any(int(size) < 1 for size in sizes):
        raise ConfigError(f"{argument} names no batch size", "give numbers of at least 1, as in batch=1,4,8")
    return tuple(int(size) for size in sizes)


def _subject(request: Request, folder: Path | None) -> Subject:
    from runner.config.compose import compose

    config = loading.load(compose([*request.typed, f"batch={(request.batches or (1,))[0]}"]))
    if config.stages is not None:
        raise ConfigError("stages chooses some steps of a run, and a guide tells all", "leave stages out")
    if config.soc.kind not in config.tool.serves:
        raise ConfigError(
            f"tool={config.tool.name} does not serve soc={config.soc.name}",
            f"leave tool out, or name a soc that it serves: {', '.join(config.tool.serves)}",
        )
    if config.dataset.task not in (None, config.model.task):
        raise ConfigError(
            f"model={config.model.name} is for {config.model.task}, and dataset={config.dataset.name} for"
            f" {config.dataset.task}",
            f"name one that fits with dataset=NAME: python -m runner.list dataset task={config.model.task}",
        )
    of_soc = tuple(sorted({row.batch for row in config.model.published if row.soc == config.soc.name}))
    present = _results_of(config.model.name, folder)
    lacks_folder = "root" in config.dataset.reader and config.dataset.root is None
    return Subject(
        config=config,
        typed=(*request.typed, *([by_hand.ROOT_VARIABLE] if lacks_folder else [])),
        model_file=_model_file(request.typed),
        batches=request.batches or of_soc or (config.batch.size,),
        measured=figures.standing(present, config.soc.name, config.tool.name),
        outputs=_stored_outputs(config, present) or _outputs_of_network(config),
        language=request.language,
    )


def _model_file(typed: Sequence[str]) -> str:
    """Return the path of the model's YAML: in the runner's repository, or in the --config-dir that was typed."""
    config_dir, words = groups.split_config_dir(typed)
    *_, option = (word.partition("=")[2].strip("'\"") for word in words if word.startswith("model="))
    path = groups.files("model", config_dir)[option.removesuffix(".yaml")]
    return str(path.relative_to(groups.CONF.parent) if path.is_relative_to(groups.CONF) else path)


def _results_of(model: str, folder: Path | None) -> list[Result]:
    if folder is not None and not folder.exists():
        raise DataError(f"--results {folder} does not exist", "name the folder that holds the runs")
    place = folder or Path("outputs")
    present = results.find([place]).results if place.exists() else ()
    return [result for result in present if result.model == model]


def _stored_outputs(config: RunConfig, present: Sequence[Result]) -> dict[str, TensorSpec]:
    """Return the outputs of a run's ONNX model by name, if it is still in the store."""
    store = open_store(config)
    for result in present:
        for record in result.stages:
            if record.name in ("simplify", "export") and record.key:
                entry = store.find(record.name, record.key, OnnxModel)
                if entry is not None:
                    return {spec.name: spec for spec in entry.artifact.outputs}
    return {}


def _outputs_of_network(config: RunConfig) -> dict[str, TensorSpec]:
    """Return the outputs of the network by name, computed without weights; {} where they are known only once exported.

    On PyTorch's meta device tensors have a shape and a type, and no values.
    """
    setup = Setup(config)
    if setup.is_outside or setup.free_inputs:
        return {}
    try:
        with torch.device("meta"), torch.no_grad(), redirect_stdout(sys.stderr):  # stdout is the guide's
            network = construct(setup.network.target)
            inputs = [torch.empty((1, *spec.shape), dtype=getattr(torch, spec.dtype)) for spec in setup.inputs]
            outputs = named_outputs(network(*inputs), setup.outputs)
    except Exception:  # it needs values, a checkpoint says how it is built, or it fails: a run tells
        return {}
    return {
        name: TensorSpec(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape[1:]))
        for name, tensor in outputs.items()
    }


def _script(subject: Subject, path: Path) -> str:
    config, words = subject.config, subject.words
    if subject.setup.free_inputs or config.tool.compiler is None:
        reason = "runs in the runner's process" if config.tool.compiler is None else "is called once a size of samples"
        raise ConfigError(
            f"model={config.model.name} has no script of commands for tool={config.tool.name}, which {reason}",
            "run it: python -m runner model=NAME, as the guide says",
        )
    heading = words["script_heading"].format(name=config.model.name, soc=config.soc.name, tool=config.tool.name)
    ask = words["script_root"].format(dataset=config.dataset.name, script=path.name) if subject.asks_for_root else None
    environment = config.tool.environment_script
    source = by_hand.sourced(environment, words["script_environment"]) if environment else ()
    return by_hand.script(by_hand.commands(config, subject.typed), source, subject.batches, heading, ask)


def _write(path: Path, text: str, kind: str, option: str) -> None:
    if path.is_dir():
        raise StoreError(f"{path} cannot be written: it is a folder", f"name a file with {option}")
    try:
        write_atomically(path, visible(text).encode())
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}", f"name another file with {option}") from error
    print(f"{kind}: {path}")


if __name__ == "__main__":
    sys.exit(main())

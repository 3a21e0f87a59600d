"""`python -m runner.guide model=NAME`: a model's guide from its YAML, the plan's commands and the results at hand."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner import commands, environment, overrides, plan, schema, slices
from runner.artifacts import OnnxModel, TensorSpec
from runner.errors import ConfigError, DataError, StoreError
from runner.hashing import write_atomically
from runner.report import guide_text, output, results, tables
from runner.report.markdown import code, escaped, grid, table_lines
from runner.report.results import Environment, Result
from runner.report.tables import Section, Table
from runner.schema import ModelConfig, PreprocessConfig, RunConfig
from runner.store import Store

SOC = "310P3"
"""What a guide is for, unless another one is named."""

Words = Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """What a guide is asked for: the overrides as typed, but for batch, which becomes the batch sizes, and lang."""

    typed: tuple[str, ...]
    batches: tuple[int, ...] | None
    language: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the guide to standard output or a file; returns 0, or 1 on an error."""
    options = _parser().parse_intermixed_args(arguments)
    return output.exit_code_of(lambda: _print_or_write(options))


def _print_or_write(options: argparse.Namespace) -> None:
    own = overrides.config_dir_arguments(options.config_dir)
    text = _guide(parse([*own, *options.overrides]), options.results)
    if options.out:
        _write(options.out, text)
    else:
        print(text)


def parse(arguments: Sequence[str]) -> Request:
    """What the words of the command line ask for.

    Raises:
        ConfigError: a language that there is not, or a batch that is no number.
    """
    words = [argument.partition("=") for argument in arguments]
    language = next((value for name, _, value in words if name == "lang"), "zh")
    if language not in guide_text.LANGUAGES:
        raise ConfigError(f"lang is {language!r}", f"choose from {', '.join(guide_text.LANGUAGES)}")
    typed = [argument for argument, (name, _, _) in zip(arguments, words, strict=True) if name not in ("lang", "batch")]
    if not any(name == "model" for name, _, _ in words):
        raise ConfigError("no model is named", "name one, as in python -m runner.guide model=dcgan lang=en")
    if not any(name == "soc" for name, _, _ in words):
        typed.append(f"soc={SOC}")
    batch = next((argument for argument in arguments if argument.startswith("batch=")), None)
    return Request(tuple(typed), _batch_sizes(batch) if batch else None, language)


def write_guide(
    config: RunConfig,
    request: Request,
    batches: Sequence[int],
    found: Sequence[Result],
    outputs: Mapping[str, TensorSpec],
) -> str:
    """The guide's text. `found` are results of the model, `outputs` what is known of its outputs, by name. Pure."""
    words = guide_text.LANGUAGES[request.language]
    model, typed = config.model, _completed(request.typed, config)
    at_batches = [*typed, f"batch={','.join(map(str, batches))}"]
    sweep = ["-m"] if len(batches) > 1 else []
    compiles, infers = _external_commands(config, batches)
    return words["page"].format(
        name=model.name,
        task=_task(model.task, request.language),
        reference=_indented(code(_reference(model.reference), "")),
        inputs=_indented(_tensors(words, words["input"], slices.input_specs(model))),
        outputs=_indented(_outputs(words, model.outputs, outputs)),
        environment_of=words["environment_measured" if found else "environment_here"],
        environment=_indented(_versions(words, _environment(found, config.soc.name))),
        install=_indented(code(["pip install -e ."]), 3),
        dry_run=_indented(code([_command([*typed, "dry_run=true"])]), 3),
        dataset=_dataset(words, config),
        preprocess=_indented([f"- {line}" for line in _preprocessing(words, model.preprocess)], 3),
        prepare=_indented(code([_command([*typed, "stages=[prepare]"])]), 3),
        run="\n".join(code([_command([*sweep, *at_batches])])),
        weights=_weights(words, model),
        export=_export(words, model),
        compile=_indented(_per_batch(words, compiles) or [words["no_compiler"].format(tool=config.tool.name)], 6),
        infer=_indented(_per_batch(words, infers) or [words["no_commands"].format(tool=config.tool.name)], 3),
        score=words[f"score_{config.dataset.scored_against}"].format(metrics=", ".join(config.dataset.metrics)),
        deviations=_deviations(words, model.deviations),
        results=_measured(words, model, found),
        published=_published(words, model),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runner.guide",
        description="The guide of a model, in Markdown: from its YAML, the plan's commands and the results at hand.",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="model=NAME, and soc=NAME [310P3], batch=N,M [as published], lang=zh|en [zh], tool=NAME, dataset.root=DIR",
    )
    parser.add_argument(*overrides.CONFIG_DIR_FLAGS, metavar="DIR", help="a zoo of yours, as the runner takes it")
    parser.add_argument("--results", type=Path, metavar="DIR", help="where result.json files lie [outputs]")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write it [standard output]")
    return parser


def _batch_sizes(argument: str) -> tuple[int, ...]:
    sizes = re.findall(r"'(-?\d+)'", overrides.adapt([argument], list)[0])
    if not sizes or any(int(size) < 1 for size in sizes):
        raise ConfigError(f"{argument} names no batch size", "give numbers of at least 1, as in batch=1,4,8")
    return tuple(int(size) for size in sizes)


def _guide(request: Request, folder: Path | None) -> str:
    from runner import composing

    config = schema.load(composing.compose([*request.typed, f"batch={(request.batches or (1,))[0]}"]))
    if config.soc.kind not in config.tool.serves:
        raise ConfigError(
            f"tool={config.tool.name} does not serve soc={config.soc.name}",
            f"leave tool out, or name a soc that it serves: {', '.join(config.tool.serves)}",
        )
    batches = request.batches or tuple(row.batch for row in config.model.published if row.soc == config.soc.name)
    found = _results_of(config.model.name, folder)
    return write_guide(config, request, batches or (config.batch.size,), found, _known_outputs(config, found))


def _results_of(model: str, folder: Path | None) -> list[Result]:
    if folder is not None and not folder.exists():
        raise DataError(f"--results {folder} does not exist", "name the folder that holds the runs")
    place = folder or Path("outputs")
    found = results.find([place]).results if place.exists() else ()
    return results.newest(result for result in found if result.model == model)


def _known_outputs(config: RunConfig, found: Sequence[Result]) -> dict[str, TensorSpec]:
    """The outputs as a run exported them, where its ONNX model is still in the store."""
    store = Store(Path(config.cache_dir).expanduser().absolute())
    for result in found:
        for record in result.stages:
            if record.name in ("simplify", "export") and record.key:
                entry = store.find(record.name, record.key, OnnxModel)
                if entry is not None:
                    return {spec.name: spec for spec in entry.artifact.outputs}
    return {}


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, f"{text}\n".encode(errors="replace"))
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}", "name another file with --out") from error
    print(f"guide: {path}")


def _external_commands(config: RunConfig, batches: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """For each batch size the lines up to the compiled model, and those that follow."""
    compiles, infers = [], []
    for batch in batches:
        at_batch = replace(config, batch=replace(config.batch, size=batch))
        first = _foreseen(replace(at_batch, stages=["compile"]))
        compiles.append((batch, first))
        infers.append((batch, [line for line in _foreseen(at_batch) if line not in first]))
    return [pair for pair in compiles if pair[1]], [pair for pair in infers if pair[1]]


def _foreseen(config: RunConfig) -> list[str]:
    laid_out = plan.plan(config, slices.data_source(config), lambda _, files: [""] * len(files))
    return commands.foreseen(config, laid_out, {})


def _per_batch(words: Words, blocks: Iterable[tuple[int, list[str]]]) -> list[str]:
    told = [line for batch, lines in blocks for line in ("", words["batch"].format(batch=batch), "", *code(lines))]
    return told[1:]


def _command(arguments: Sequence[str]) -> str:
    return shlex.join(["python", "-m", "runner", *arguments])


def _completed(typed: Sequence[str], config: RunConfig) -> list[str]:
    """The overrides with a place for the data set's folder, where it needs one and none is named."""
    lacks_folder = "root" in config.dataset.reader and config.dataset.root is None
    return [*typed, *(["dataset.root=DIR"] if lacks_folder else [])]


def _task(task: str, language: str) -> str:
    return guide_text.TASKS_ZH.get(task, task) if language == "zh" else task.replace("_", " ")


def _reference(reference: str) -> list[str]:
    url, _, commit = reference.partition(" @ ")
    return [f"url={url}", *([f"commit_id={commit}"] if commit else [])]


def _tensors(words: Words, kind: str, specs: Iterable[TensorSpec]) -> list[str]:
    rows = [
        (
            spec.name,
            spec.dtype.upper(),
            " x ".join(["batchsize", *map(str, spec.shape)]),
            "NCHW" if len(spec.shape) == 3 else "ND",
        )
        for spec in specs
    ]
    return grid([kind, words["dtype"], words["shape"], words["layout"]], rows, numeric=False)


def _outputs(words: Words, names: Sequence[str], known: Mapping[str, TensorSpec]) -> list[str]:
    if all(name in known for name in names):
        return _tensors(words, words["output"], [known[name] for name in names])
    return grid([words["output"], words["shape"]], [(name, words["shape_unknown"]) for name in names], numeric=False)


def _environment(found: Sequence[Result], soc: str) -> Environment:
    """That of the latest run, one on the SoC if there is one; else of this machine."""
    if not found:
        return Environment(**environment.describe({}))
    return max(found, key=lambda result: (result.soc == soc, result.written_at)).environment


def _versions(words: Words, told: Environment) -> list[str]:
    named = {"OS": told.os, "CPU": told.cpu, "Python": told.python, **told.packages, **told.tools}
    return grid(
        [words["component"], words["version"]],
        [(name, version) for name, version in named.items() if version],
        numeric=False,
    )


def _dataset(words: Words, config: RunConfig) -> str:
    reader = config.dataset.reader
    if "root" in reader:
        return words["folder"].format(dataset=config.dataset.name)
    count = words["count"].format(count=reader["count"]) if "count" in reader else ""
    return words["generated"].format(dataset=config.dataset.name, count=count)


def _preprocessing(words: Words, preprocess: PreprocessConfig) -> Iterator[str]:
    untouched = PreprocessConfig()
    if preprocess == untouched:
        yield words["as_is"]
        return
    if preprocess.resize is not None:
        yield words["resize"].format(resize=preprocess.resize, interpolation=preprocess.interpolation)
    if preprocess.crop is not None:
        yield words["crop"].format(crop=preprocess.crop)
    if preprocess.resize is not None or preprocess.crop is not None:
        yield words["channels"].format(channels=preprocess.channels.upper())
    yield words["normalise"].format(scale=f"{preprocess.scale:.6g}", mean=preprocess.mean, std=preprocess.std)


def _weights(words: Words, model: ModelConfig) -> str:
    checkpoint = model.checkpoint
    digest = words["digest"].format(sha256=checkpoint.sha256) if checkpoint.sha256 else ""
    if checkpoint.url:
        return words["weights_url"].format(url=checkpoint.url, file=checkpoint.file, digest=digest)
    return words["weights_where"].format(where=checkpoint.where or "-", file=checkpoint.file, digest=digest)


def _export(words: Words, model: ModelConfig) -> str:
    fixed = "export_fixed" if model.export.fixed_batch else "export_free"
    parts = [words[fixed].format(opset=model.export.opset)]
    if model.simplify.enabled:
        parts.append(words["simplified_fixed" if model.simplify.fixed_batch else "simplified"])
    if model.surgery:
        parts.append(words["surgery"].format(surgery=", ".join(f"`{name}`" for name in model.surgery)))
    return words["join"].join(parts) + words["end"]


def _deviations(words: Words, deviations: Sequence[str]) -> str:
    if not deviations:
        return ""
    return "\n".join([f"> {words['deviations']}", ">", *(f"> - {escaped(line)}" for line in deviations), "", ""])


def _measured(words: Words, model: ModelConfig, found: Sequence[Result]) -> str:
    sections = tables.sections(found, {model.name: model.published})
    lines = [line for section in sections for line in _section(words, section)]
    return "\n".join(lines) if lines else words["no_results"]


def _section(words: Words, section: Section) -> Iterator[str]:
    def told(text: str) -> str:
        return _translated(words, text)

    table = section.table
    yield from (f"## {words['measured'].format(title=escaped(told(table.title)))}", "")
    yield from _parts(words, table)
    yield from (f"- \\[{number}\\] {escaped(told(note))}" for number, note in enumerate(table.footnotes, 1))
    yield ""


def _parts(words: Words, table: Table) -> Iterator[str]:
    for name, part in (("performance", tables.performance_part(table)), ("accuracy", tables.accuracy_part(table))):
        if part.columns:
            corner = words["throughput"] if name == "performance" else "Batch Size"
            lines = table_lines(part, corner, words["best"], lambda text: _translated(words, text))
            yield from (f"### {words[name]}", "", *lines, "")


def _published(words: Words, model: ModelConfig) -> str:
    if not model.published:
        return ""
    table = tables.published_table(model.name, model.published)
    sources = "; ".join(dict.fromkeys(row.source for row in model.published))
    lines = [f"## {words['published_title']}", ""]
    lines += _parts(words, table)
    return "\n".join([*lines, f"{words['sources']}{escaped(sources)}"])


def _translated(words: Words, text: str) -> str:
    for phrase in guide_text.TRANSLATED:
        text = text.replace(phrase, words[phrase])
    return text


def _indented(lines: Iterable[str], by: int = 2) -> str:
    return "\n".join(" " * by + line if line else "" for line in "\n".join(lines).split("\n"))


if __name__ == "__main__":
    sys.exit(main())

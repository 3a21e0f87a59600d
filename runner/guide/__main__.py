"""`python -m runner.guide model=NAME`: write a model's guide from its YAML, its plan and existing results."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from runner import cli, results
from runner.config import groups, overrides, schema
from runner.config.schema import ModelConfig, PreprocessConfig, RunConfig
from runner.core import FREE, ConfigError, DataError, OnnxModel, StoreError, TensorSpec, environment, write_atomically
from runner.guide import wording
from runner.pipeline import commands
from runner.pipeline.setup import Setup, open_store
from runner.report import tables
from runner.report.markdown import code, escaped, grid, table_lines
from runner.report.tables import Section, Table
from runner.results import Environment, Meaning, Result, values
from runner.stages import order
from runner.tasks import metric_of

SOC = "310P3"
"""The default SoC of a guide."""
LONGEST_ARGUMENT = 40
"""Characters of a decoder's argument that is shown."""

Words = Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """A parsed command line: the overrides as typed without batch and lang, the batch sizes, and the language."""

    typed: tuple[str, ...]
    batches: tuple[int, ...] | None
    language: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the guide to standard output or a file; return 0, or 1 on an error."""
    options = _parser().parse_intermixed_args(arguments)
    return cli.exit_code_of(lambda: _print_or_write(options))


def _print_or_write(options: argparse.Namespace) -> None:
    own = groups.config_dir_arguments(options.config_dir)
    text = _guide(parse([*own, *options.overrides]), options.results)
    if options.out:
        _write(options.out, text)
    else:
        print(text)


def parse(arguments: Sequence[str]) -> Request:
    """Parse the words of the command line.

    Raises:
        ConfigError: an unknown language, or a batch size that is not a number.
    """
    words = [argument.partition("=") for argument in arguments]
    language = next((value for name, _, value in words if name == "lang"), "zh")
    if language not in wording.LANGUAGES:
        raise ConfigError(f"lang is {language!r}", f"choose from {', '.join(wording.LANGUAGES)}")
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
    measured: Sequence[Result],
    outputs: Mapping[str, TensorSpec],
) -> str:
    """Return the guide's text. `measured` are results of the model, `outputs` its known outputs by name. Pure."""
    words = wording.LANGUAGES[request.language]
    model, typed = config.model, _completed(request.typed, config)
    at_batches = [*typed, f"batch={','.join(map(str, batches))}"]
    sweep = ["-m"] if len(batches) > 1 else []
    compiles, infers = _external_commands(config, batches)
    return words["page"].format(
        name=model.name,
        task=_task(model.task, request.language),
        reference=_indented(code(_reference(model.reference), "")),
        inputs=_indented(_tensors(words, words["input"], Setup(config).inputs)),
        outputs=_indented(_outputs(words, model.outputs, outputs)),
        get_weights=words["get_onnx" if model.onnx else "get_weights"],
        make_onnx=words["cut_onnx" if model.onnx else "make_onnx"],
        environment_of=words["environment_measured" if measured else "environment_here"],
        environment=_indented(_versions(words, _environment(measured, config.soc.name))),
        install=_indented(code(["pip install -e ."]), 3),
        dry_run=_indented(code([_command([*typed, "dry_run=true"])]), 3),
        dataset=_dataset(words, config),
        preprocess=_indented(
            [f"- {line}" for line in _preprocessing(words, model.preprocess, Setup(config).inputs)], 3
        ),
        prepare=_indented(code([_command([*typed, "stages=[prepare]"])]), 3),
        run="\n".join(code([_command([*sweep, *at_batches])])),
        weights=_weights(words, model),
        export=_export(words, model),
        compile=_indented(_compile(words, config, compiles), 6),
        infer=_indented(_per_batch(words, infers) or [words["no_commands"].format(tool=config.tool.name)], 3),
        score=_score(words, config),
        deviations=_deviations(words, model.deviations),
        results=_measured(words, model, measured),
        published=_published(words, config),
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
        help="model=NAME, and soc=NAME [310P3], batch=N,M [as published], lang=zh|en [zh], tool=NAME, dataset=NAME,"
        " dataset.root=DIR",
    )
    parser.add_argument(*groups.CONFIG_DIR_FLAGS, metavar="DIR", help="a zoo of yours, as the runner takes it")
    parser.add_argument("--results", type=Path, metavar="DIR", help="where result.json files lie [outputs]")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write it [standard output]")
    return parser


def _batch_sizes(argument: str) -> tuple[int, ...]:
    sizes = re.findall(r"'(-?\d+)'", overrides.adapt([argument], list)[0])
    if not sizes or any(int(size) < 1 for size in sizes):
        raise ConfigError(f"{argument} names no batch size", "give numbers of at least 1, as in batch=1,4,8")
    return tuple(int(size) for size in sizes)


def _guide(request: Request, folder: Path | None) -> str:
    from runner.config.compose import compose

    config = schema.load(compose([*request.typed, f"batch={(request.batches or (1,))[0]}"]))
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
    batches = request.batches or tuple(row.batch for row in config.model.published if row.soc == config.soc.name)
    measured = _results_of(config.model.name, folder)
    return write_guide(config, request, batches or (config.batch.size,), measured, _known_outputs(config, measured))


def _results_of(model: str, folder: Path | None) -> list[Result]:
    if folder is not None and not folder.exists():
        raise DataError(f"--results {folder} does not exist", "name the folder that holds the runs")
    place = folder or Path("outputs")
    present = results.find([place]).results if place.exists() else ()
    return results.newest(result for result in present if result.model == model)


def _known_outputs(config: RunConfig, measured: Sequence[Result]) -> dict[str, TensorSpec]:
    """Return the outputs of a run's ONNX model, if it is still in the store."""
    store = open_store(config)
    for result in measured:
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
    """Return, for each batch size, the shell lines up to the compiled model and the ones after it."""
    compiles, infers = [], []
    for batch in batches:
        at_batch = replace(config, batch=replace(config.batch, size=batch))
        first = _shell_lines(replace(at_batch, stages=["compile"]))
        compiles.append((batch, first))
        infers.append((batch, [line for line in _shell_lines(at_batch) if line not in first]))
    return [pair for pair in compiles if pair[1]], [pair for pair in infers if pair[1]]


def _shell_lines(config: RunConfig) -> list[str]:
    return commands.shell_lines(Setup(config), order.wanted(config.stages, order.NEEDS), {})


def _per_batch(words: Words, blocks: Iterable[tuple[int, list[str]]]) -> list[str]:
    spaced = [line for batch, lines in blocks for line in ("", words["batch"].format(batch=batch), "", *code(lines))]
    return spaced[1:]


def _command(arguments: Sequence[str]) -> str:
    return shlex.join(["python", "-m", "runner", *arguments])


def _completed(typed: Sequence[str], config: RunConfig) -> list[str]:
    """Add a placeholder for the data set's folder to the overrides, if it needs one and none is given."""
    lacks_folder = "root" in config.dataset.reader and config.dataset.root is None
    return [*typed, *(["dataset.root=DIR"] if lacks_folder else [])]


def _task(task: str, language: str) -> str:
    return wording.TASKS_ZH.get(task, task) if language == "zh" else task.replace("_", " ")


def _reference(reference: str) -> list[str]:
    url, _, commit = reference.partition(" @ ")
    return [f"url={url}", *([f"commit_id={commit}"] if commit else [])]


def _tensors(words: Words, kind: str, specs: Iterable[TensorSpec]) -> list[str]:
    rows = [
        (
            spec.name,
            spec.dtype.upper(),
            " x ".join(["batchsize", *_sizes(words, spec.shape)]),
            "NCHW" if len(spec.shape) == 3 else "ND",
        )
        for spec in specs
    ]
    return grid([kind, words["dtype"], words["shape"], words["layout"]], rows, numeric=False)


def _sizes(words: Words, shape: Iterable[int]) -> list[str]:
    return [words["any_size"] if size == FREE else str(size) for size in shape]


def _outputs(words: Words, names: Sequence[str], known: Mapping[str, TensorSpec]) -> list[str]:
    if all(name in known for name in names):
        return _tensors(words, words["output"], [known[name] for name in names])
    return grid([words["output"], words["shape"]], [(name, words["shape_unknown"]) for name in names], numeric=False)


def _environment(measured: Sequence[Result], soc: str) -> Environment:
    """Return the environment of the latest run, preferably one on the SoC, or else of this machine."""
    if not measured:
        return Environment(**environment.describe({}))
    return max(measured, key=lambda result: (result.soc == soc, result.written_at)).environment


def _versions(words: Words, installed: Environment) -> list[str]:
    named = {
        "OS": installed.os,
        "CPU": installed.cpu,
        "Python": installed.python,
        **installed.packages,
        **installed.tools,
    }
    return grid(
        [words["component"], words["version"]],
        [(name, version) for name, version in named.items() if version],
        numeric=False,
    )


def _dataset(words: Words, config: RunConfig) -> str:
    reader = config.dataset.reader
    if "root" in reader:
        name = reader["_target_"].rpartition(".")[2]
        layout = words.get(f"folder_{name}", words["folder_other"])
        known = {"reader": reader["_target_"], **_arguments(Setup(config).reader)}
        return words["folder"].format(dataset=config.dataset.name, layout=layout.format(**known))
    count = words["count"].format(count=reader["count"]) if "count" in reader else ""
    return words["generated"].format(dataset=config.dataset.name, count=count)


def _arguments(hook: Any) -> dict[str, Any]:
    """Return the arguments of a reader or a decoder by name; {} if it is not a dataclass."""
    return {each.name: getattr(hook, each.name) for each in fields(hook)} if is_dataclass(hook) else {}


def _preprocessing(words: Words, preprocess: PreprocessConfig, inputs: Sequence[TensorSpec]) -> Iterator[str]:
    untouched = PreprocessConfig()
    if preprocess == untouched:
        yield words["as_is"]
        return
    geometry = list(_geometry(words, preprocess, inputs))
    yield from geometry
    if geometry:
        yield words["channels"].format(channels=preprocess.channels.upper())
    yield words["normalise"].format(scale=f"{preprocess.scale:.6g}", mean=preprocess.mean, std=preprocess.std)


def _geometry(words: Words, preprocess: PreprocessConfig, inputs: Sequence[TensorSpec]) -> Iterator[str]:
    """Yield how a picture becomes what the network takes."""
    interpolation, sides = preprocess.interpolation, inputs[0].shape[-2:]
    size = " x ".join(_sizes(words, preprocess.size or sides))
    if preprocess.fit == "shorter":
        if preprocess.size is not None:
            yield words["cover"].format(size=size, interpolation=interpolation)
        if preprocess.resize is not None:
            yield words["resize"].format(resize=preprocess.resize, interpolation=interpolation)
        if preprocess.crop is not None:
            yield words["crop"].format(crop=preprocess.crop)
        return
    if preprocess.fit == "none":
        yield words["unresized"]
    else:
        yield words[preprocess.fit].format(size=size, interpolation=interpolation)
    if preprocess.tile is not None:
        yield words["tile"].format(tile=" x ".join(map(str, preprocess.tile)), overlap=preprocess.overlap)
    is_free = FREE in sides
    if preprocess.fit != "stretch" and (not is_free or preprocess.multiple > 1):
        to = words["pad_multiple" if is_free else "pad_pixels"].format(multiple=preprocess.multiple, size=size)
        place = words[f"pad_{preprocess.pad}"]
        yield words["pad"].format(value=preprocess.pad_value, size=to, place=place)


def _compile(words: Words, config: RunConfig, commands: Sequence[tuple[int, list[str]]]) -> list[str]:
    if not commands:
        return [words["no_compiler"].format(tool=config.tool.name)]
    is_free = any(tensor.is_free for tensor in Setup(config).inputs)
    return [*([words["gears"], ""] if is_free else []), *_per_batch(words, commands)]


def _score(words: Words, config: RunConfig) -> str:
    """Describe how the outputs are decoded and what they are compared with."""
    setup = Setup(config)
    reference = words["reference_onnx" if setup.is_outside else "reference_network"]
    metrics = [
        name + (f" ({values.sign(meaning.unit)})" if meaning.unit else "")
        for name, meaning in _meanings(config).items()
    ]
    score = words[f"score_{config.dataset.scored_against}"]
    lines = [score.format(metrics=", ".join(metrics), reference=reference)]
    if setup.decode is not None:
        shown = [f"{name} {value}" for name, value in setup.decode.arguments.items() if _is_short(value)]
        arguments = words["decode_arguments"].format(arguments=", ".join(shown)) if shown else ""
        lines.insert(0, words["decode"].format(decoder=setup.decode.name.rpartition(".")[2], arguments=arguments))
    if config.model.batch_dependent:
        lines.append(words["batch_dependent"].format(reason=config.model.batch_dependent, reference=reference))
    return words["join_sentences"].join(lines)


def _is_short(value: Any) -> bool:
    """Return whether an argument of a decoder is shown: no tables of anchors, no alphabets."""
    return not isinstance(value, (list, dict)) and len(str(value)) <= LONGEST_ARGUMENT


def _weights(words: Words, model: ModelConfig) -> str:
    published = model.onnx or model.checkpoint
    digest = words["digest"].format(sha256=published.sha256) if published.sha256 else ""
    known = {"file": published.file, "url": published.url, "where": published.where or "-", "digest": digest}
    if model.onnx is None:
        return words["weights_url" if published.url else "weights_where"].format(**known)
    made_by = [words["made_by"].format(made_by=model.onnx.made_by)] if model.onnx.made_by else []
    if model.onnx.package is not None:
        text = words["weights_package"].format(**known, package=model.onnx.package)
    else:
        text = words["weights_url" if published.url else "weights_where"].format(**known)
    return words["join_sentences"].join([text, *made_by])


def _export(words: Words, model: ModelConfig) -> str:
    batch = "fixed" if model.export.fixed_batch else "free"
    outputs = ", ".join(f"`{name}`" for name in model.outputs)
    made = "cut" if model.onnx else "export"
    steps = [words[f"{made}_{batch}"].format(opset=model.export.opset, outputs=outputs)]
    if model.simplify.enabled:
        steps.append(words["simplified_fixed" if model.simplify.fixed_batch else "simplified"])
    if model.surgery:
        steps.append(words["surgery"].format(surgery=", ".join(f"`{name}`" for name in model.surgery)))
    return words["join"].join(steps) + words["end"]


def _deviations(words: Words, deviations: Sequence[str]) -> str:
    if not deviations:
        return ""
    return "\n".join([f"> {words['deviations']}", ">", *(f"> - {escaped(line)}" for line in deviations), "", ""])


def _measured(words: Words, model: ModelConfig, measured: Sequence[Result]) -> str:
    sections = tables.sections(measured, {model.name: model.published})
    lines = [line for section in sections for line in _section(words, section)]
    return "\n".join(lines) if lines else words["no_results"]


def _section(words: Words, section: Section) -> Iterator[str]:
    table = section.table
    yield from (f"## {words['measured'].format(title=escaped(_translated(words, table.title)))}", "")
    yield from _tables(words, table)
    yield from (
        f"- \\[{number}\\] {escaped(_translated(words, note))}" for number, note in enumerate(table.footnotes, 1)
    )
    yield ""


def _tables(words: Words, table: Table) -> Iterator[str]:
    for name, columns in (("performance", tables.performance_part(table)), ("accuracy", tables.accuracy_part(table))):
        if columns.columns:
            corner = words["throughput"] if name == "performance" else "Batch Size"
            lines = table_lines(columns, corner, words["best"], lambda text: _translated(words, text))
            yield from (f"### {words[name]}", "", *lines, "")


def _published(words: Words, config: RunConfig) -> str:
    model = config.model
    if not model.published:
        return ""
    table = tables.published_table(model.name, model.published, _meanings(config))
    sources = "; ".join(dict.fromkeys(row.source for row in model.published))
    lines = [f"## {words['published_title']}", ""]
    lines += _tables(words, table)
    return "\n".join([*lines, f"{words['sources']}{escaped(sources)}"])


def _meanings(config: RunConfig) -> dict[str, Meaning]:
    """Return the meanings of the data set's metrics, by name."""
    metrics = (metric_of(name, target) for name, target in Setup(config).metrics.items())
    figures = {name: figure for metric in metrics for name, figure in metric.figures.items()}
    return {name: Meaning(figure.unit, figure.better) for name, figure in figures.items()}


def _translated(words: Words, text: str) -> str:
    for phrase in wording.TRANSLATED:
        text = text.replace(phrase, words[phrase])
    return text


def _indented(lines: Iterable[str], by: int = 2) -> str:
    return "\n".join(" " * by + line if line else "" for line in "\n".join(lines).split("\n"))


if __name__ == "__main__":
    sys.exit(main())

"""The text of a guide, in the order of the public guides' sections. Pure.

No fence is indented, since some renderers show those in lists as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

from runner.config.schema import ModelConfig, PreprocessConfig, RunConfig, in_language
from runner.core import FREE, TensorSpec
from runner.guide import by_hand, figures, parameters, sources, wording
from runner.guide.by_hand import Commands
from runner.guide.wording import Words
from runner.pipeline.setup import Setup
from runner.report import columns
from runner.report.columns import Meanings
from runner.report.markdown import code, escaped, grid
from runner.results import Environment, Meaning, Result, values
from runner.tasks import metric_of

LONGEST_ARGUMENT = 40
"""Characters of a decoder's argument that is shown."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a guide is about: a configuration, the overrides that it was composed from, and what is known of the model.

    `typed` holds no batch, `model_file` is the path of the model's YAML. `measured` are the results that may stand as
    measured, `outputs` the known outputs by name.
    """

    config: RunConfig
    typed: tuple[str, ...]
    model_file: str
    batches: tuple[int, ...]
    measured: Sequence[Result]
    outputs: Mapping[str, TensorSpec]
    language: str

    @property
    def words(self) -> Words:
        """The texts in the guide's language."""
        return wording.LANGUAGES[self.language]

    @cached_property
    def setup(self) -> Setup:
        """Everything that the configuration names."""
        return Setup(self.config)

    @property
    def asks_for_root(self) -> bool:
        """Whether the commands take the data set's folder from a variable, as none is given."""
        return by_hand.ROOT_VARIABLE in self.typed


def write(subject: Subject) -> str:
    """Return the guide in Markdown."""
    words, commands = subject.words, by_hand.commands(subject.config, subject.typed)
    blocks = [
        words["title"].format(name=subject.config.model.name),
        words["contents"],
        *_overview(subject),
        *_environment(subject),
        _section(words, "quickstart"),
        *_source(subject),
        *_dataset(subject, commands),
        *_inference(subject, commands),
        *_results(subject),
    ]
    return "\n\n".join(blocks)


def _section(words: Words, anchor: str, level: str = "#") -> str:
    return f'{level} {words[f"section_{anchor}"]}<a name="{anchor}"></a>'


def _fence(lines: Iterable[str], language: str = "shell") -> str:
    return "\n".join(code(lines, language))


def _items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _overview(subject: Subject) -> Iterator[str]:
    words, model = subject.words, subject.config.model
    yield _section(words, "overview")
    about = in_language(model.about, subject.language)
    if about:
        yield escaped(about)
    task = wording.TASKS_ZH.get(model.task, model.task) if subject.language == "zh" else model.task.replace("_", " ")
    yield words["made_from"].format(name=model.name, task=task, file=subject.model_file)
    links = [(words["paper"], model.paper), (words["original_guide"], model.guide.url)]
    listed = [f"{name}{words['colon']}<{url}>" for name, url in links if url]
    if listed:
        yield _items(listed)
    yield words["reference"]
    url, _, commit = model.reference.partition(" @ ")
    yield _fence([f"url={url}", *([f"commit_id={commit}"] if commit else [])], "text")
    yield _section(words, "data", "##")
    inputs = [_as_fed(spec, model) for spec in subject.setup.inputs]
    yield "\n".join(_tensors(words, words["input"], inputs, model))
    outputs = [subject.outputs.get(name, name) for name in model.outputs]
    yield "\n".join(_tensors(words, words["output"], outputs, None))


def _as_fed(spec: TensorSpec, model: ModelConfig) -> TensorSpec:
    """Return an input as the compiled model takes it: with AIPP pictures in bytes, channels last."""
    return TensorSpec(spec.name, "uint8", (*spec.shape[1:], spec.shape[0])) if model.aipp else spec


def _tensors(words: Words, kind: str, specs: Iterable[TensorSpec | str], model: ModelConfig | None) -> list[str]:
    """Return a table of tensors, of which some may be known by name only; `model` is that of inputs."""
    rows = []
    for spec in specs:
        if isinstance(spec, str):
            rows.append((spec, words["unknown"], words["unknown"], words["unknown"]))
            continue
        sizes = " x ".join(["batchsize", *_sizes(words, spec.shape)])
        of_picture = model is not None and len(spec.shape) == 3 and model.preprocess.resize is not None
        shown = spec.dtype.upper()
        if model is not None and of_picture:
            shown = f"{model.preprocess.channels.upper()}_{shown.replace('FLOAT', 'FP')}"
        rows.append((spec.name, shown, sizes, _layout(spec, model)))
    return grid([kind, words["dtype"], words["shape"], words["layout"]], rows, numeric=False)


def _layout(spec: TensorSpec, model: ModelConfig | None) -> str:
    if len(spec.shape) != 3:
        return "ND"
    return "NHWC" if model is not None and model.aipp else "NCHW"


def _sizes(words: Words, shape: Iterable[int]) -> list[str]:
    return [words["any_size"] if size == FREE else str(size) for size in shape]


def _environment(subject: Subject) -> Iterator[str]:
    words, config = subject.words, subject.config
    yield _section(words, "environment")
    latest = max(subject.measured, key=lambda result: result.ended_at, default=None)
    installed = _installed(latest.environment) if latest else {}
    published = config.model.guide.versions
    names = ["driver", "CANN"] if config.soc.kind == "ascend" else []
    names = list(dict.fromkeys([*names, "Python", "PyTorch", *installed, *published]))
    unknown = words["not_named"] if published else words["see_original"] if config.model.guide.url else words["by_chip"]
    rows = []
    for name in names:
        of_guide = published.get(name, unknown if name in ("driver", "CANN") and name not in installed else "")
        setup = words["driver_setup"] if name == "driver" else ""
        rows.append((words["driver"] if name == "driver" else name, installed.get(name, ""), of_guide, setup))
    rows = [row for row in rows if row[1] or row[2]]
    headings = [words["component"], words["version_measured"], words["version_published"], words["setup"]]
    if rows:
        yield words["versions"]
        yield "\n".join(_linked_grid(*figures.without_empty(headings, rows)))
    notes = [words["python_note"]]
    if config.soc.kind == "ascend":
        notes += [words["duo_note"], words["cann_note"]]
    yield _items(notes)


def _installed(environment: Environment) -> dict[str, str]:
    """Return the versions of what computes, by name; nothing that tells the machine."""
    packages = {name: environment.packages.get(name) for name in ("torchvision", "timm", "onnx", "onnxsim")}
    tools = {
        name: version.removeprefix(f"{name} ")
        for name, version in environment.tools.items()
        if "not found" not in version
    }
    named = {"Python": environment.python, "PyTorch": environment.packages.get("torch"), **packages, **tools}
    return {name: version for name, version in named.items() if version}


def _linked_grid(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table whose cells may hold links."""
    separator = "| " + " | ".join("---" for _ in headings) + " |"
    return [f"| {' | '.join(headings)} |", separator, *(f"| {' | '.join(row)} |" for row in rows)]


def _source(subject: Subject) -> Iterator[str]:
    words, config = subject.words, subject.config
    yield _section(words, "source", "##")
    yield words["install"]
    yield _fence(["pip install -e ."])
    tool = words.get(f"install_{config.tool.name}")
    if tool:
        yield tool


def _dataset(subject: Subject, commands: Commands) -> Iterator[str]:
    words, config = subject.words, subject.config
    yield _section(words, "dataset", "##")
    yield words["get_data"]
    yield from _data(subject)
    if subject.asks_for_root:
        yield words["name_root"]
        yield _fence([f"dataset_root=/path/to/{config.dataset.name}"])
    yield words["preprocessing"]
    yield _items(_preprocessing(words, config.model.preprocess, subject.setup.inputs))
    if commands.samples:
        yield words["prepare"].format(folder=f"{by_hand.SAMPLES}/")
        yield _fence(commands.samples)


def _data(subject: Subject) -> Iterator[str]:
    words, dataset = subject.words, subject.config.dataset
    reader = dataset.reader
    if "root" not in reader:
        count = words["count"].format(count=reader["count"]) if "count" in reader else ""
        yield words["generated"].format(dataset=dataset.name, count=count)
        return
    name = reader["_target_"].rpartition(".")[2]
    layout = words.get(f"folder_{name}", words["folder_other"])
    known = {"reader": reader["_target_"], **_arguments(subject.setup.reader)}
    link = f"[{dataset.name}]({dataset.url})" if dataset.url else f"`{dataset.name}`"
    yield words["folder"].format(dataset=link, layout=layout.format(**known))
    tree = words.get(f"tree_{dataset.name}")
    if tree:
        yield _fence(tree.split("\n"), "text")


def _arguments(hook: Any) -> dict[str, Any]:
    """Return the arguments of a reader or a decoder by name; {} if it is not a dataclass."""
    return {each.name: getattr(hook, each.name) for each in fields(hook)} if is_dataclass(hook) else {}


def _preprocessing(words: Words, preprocess: PreprocessConfig, inputs: Sequence[TensorSpec]) -> Iterator[str]:
    if preprocess == PreprocessConfig():
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
            side = "resize" if preprocess.keep_ratio else "resize_both"
            yield words[side].format(resize=preprocess.resize, interpolation=interpolation)
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


def _inference(subject: Subject, commands: Commands) -> Iterator[str]:
    words, config = subject.words, subject.config
    yield _section(words, "inference", "##")
    yield words["one_command"]
    sweep = ["-m"] if len(subject.batches) > 1 else []
    overrides = [*subject.typed, f"batch={','.join(map(str, subject.batches))}"]
    yield _fence([by_hand.command(["python", "-m", "runner", *sweep], overrides)])
    yield words["run_folder"].format(name=config.model.name, soc=config.soc.name, tool=config.tool.name)
    yield words["by_hand" if commands.score else "by_runner"]
    if commands.compile:
        yield _fence([f"bs={subject.batches[0]}"])
        if len(subject.batches) > 1:
            yield words["other_batches"].format(batches=words["comma"].join(map(str, subject.batches)))
    yield f"### {words['convert']}"
    yield from _conversion(subject, commands)
    yield f"### {words['infer']}"
    if commands.infer:
        yield _fence(commands.infer)
        yield from _parameters(subject, config.tool.name, commands.infer)
        yield words["outputs_in"].format(folder=commands.results)
    else:
        yield words["inferred_by_runner"].format(tool=config.tool.name)
    yield f"### {words['score']}"
    if commands.score:
        yield _fence(commands.score)
    yield _scoring(subject)
    if any(row.accuracy for row in config.model.published):
        yield words["criterion"].format(tolerance=f"{config.gates.accuracy.tolerance:g}")
    yield f"### {words['measure']}"
    if commands.benchmark:
        yield _fence(commands.benchmark)
        yield from _parameters(subject, config.tool.name, commands.benchmark, commands.infer)
    yield words["benchmark"]
    if config.soc.chips > 1:
        yield words["chips"].format(soc=config.soc.name, chips=config.soc.chips)
    yield from _deviations(subject)


def _conversion(subject: Subject, commands: Commands) -> Iterator[str]:
    words, config = subject.words, subject.config
    model = config.model
    yield f"#### {words['get_onnx' if model.onnx else 'get_weights']}"
    yield _weights(subject)
    yield f"#### {words['cut_onnx' if model.onnx else 'make_onnx']}"
    yield _export(words, model)
    if commands.compile:
        yield _fence(commands.onnx)
        yield words["made"].format(file=commands.onnx_file)
    yield f"#### {words['compile']}"
    if not commands.compile:
        yield words["no_compiler"].format(tool=config.tool.name)
        return
    if commands.source:
        yield words["set_environment"]
        yield _fence(commands.source)
    if commands.chip:
        yield words["find_chip"].format(soc_version=config.soc.soc_version)
        yield _fence(["npu-smi info", f"chip_name={commands.chip}"])
        yield words["chip_shown"]
        yield _fence(parameters.NPU_SMI.format(chip=commands.chip).split("\n"), "text")
    if subject.setup.free_inputs:
        yield words["gears"]
    yield _fence(commands.compile)
    yield from _parameters(subject, "atc" if commands.chip else "trtexec", commands.compile)
    yield words["made"].format(file=commands.compiled_file)


def _parameters(subject: Subject, program: str, lines: Sequence[str], known: Sequence[str] = ()) -> Iterator[str]:
    """Yield what the flags of a program mean that stand in `lines` and not in `known`."""
    told, before = (parameters.meanings(program, each, subject.language) for each in (lines, known))
    listed = [f"`{name}`{subject.words['colon']}{meaning}" for name, meaning in told.items() if name not in before]
    if listed:
        yield subject.words["parameters"]
        yield _items(listed)


def _weights(subject: Subject) -> str:
    words, model = subject.words, subject.config.model
    published = model.onnx or model.checkpoint
    digest = words["digest"].format(sha256=published.sha256) if published.sha256 else ""
    where = in_language(published.where, subject.language) or words["no_source"]
    where = f"<{where}>" if where.startswith("http") and " " not in where else where
    known = {"file": published.file, "url": published.url, "where": where, "digest": digest}
    if model.onnx is not None and model.onnx.package is not None:
        text = words["weights_package"].format(**known, package=model.onnx.package)
    else:
        text = words["weights_url" if published.url else "weights_where"].format(**known)
    made_by = in_language(model.onnx.made_by, subject.language) if model.onnx else None
    return words["join_sentences"].join([text, *([words["made_by"].format(made_by=made_by)] if made_by else [])])


def _export(words: Words, model: ModelConfig) -> str:
    batch = "fixed" if model.export.fixed_batch else "free"
    outputs = words["comma"].join(f"`{name}`" for name in model.outputs)
    steps = [words[f"{'cut' if model.onnx else 'export'}_{batch}"].format(opset=model.export.opset, outputs=outputs)]
    if model.simplify.enabled:
        steps.append(words["simplified_fixed" if model.simplify.fixed_batch else "simplified"])
    if model.surgery:
        steps.append(words["surgery"].format(surgery=words["comma"].join(f"`{name}`" for name in model.surgery)))
    return words["join"].join(steps) + words["end"]


def _scoring(subject: Subject) -> str:
    """Describe how the outputs are decoded and what they are compared with."""
    words, config, setup = subject.words, subject.config, subject.setup
    reference = words["reference_onnx" if setup.is_outside else "reference_network"]
    metrics = [
        name + (f" ({values.sign(meaning.unit)})" if meaning.unit else "") for name, meaning in _meanings(setup).items()
    ]
    score = words[f"score_{setup.scored_against}"]
    lines = [score.format(metrics=words["comma"].join(metrics), reference=reference)]
    if setup.decode is not None:
        shown = [f"{name} {value}" for name, value in setup.decode.arguments.items() if _is_short(value)]
        arguments = words["decode_arguments"].format(arguments=", ".join(shown)) if shown else ""
        lines.insert(0, words["decode"].format(decoder=setup.decode.name.rpartition(".")[2], arguments=arguments))
    reason = in_language(config.model.batch_dependent, subject.language)
    if reason:
        lines.append(words["batch_dependent"].format(reason=reason, reference=reference))
    return words["join_sentences"].join(lines)


def _is_short(value: Any) -> bool:
    """Return whether an argument of a decoder is shown: no tables of anchors, no alphabets."""
    return not isinstance(value, (list, dict)) and len(str(value)) <= LONGEST_ARGUMENT


def _deviations(subject: Subject) -> Iterator[str]:
    words, config = subject.words, subject.config
    texts = [in_language(text, subject.language) or "" for text in config.model.deviations]
    if config.model.guide.tool not in (None, config.tool.name):
        texts.insert(0, words["other_tool"].format(tool=config.tool.name, original=config.model.guide.tool))
    if texts:
        differs_from = "deviations" if config.model.guide.url else "deviations_reference"
        yield "\n".join([f"> {words[differs_from]}", ">", *(f"> - {escaped(text)}" for text in texts)])


def _results(subject: Subject) -> Iterator[str]:
    words, config, meanings = subject.words, subject.config, _meanings(subject.setup)
    yield _section(words, "results")
    yield from _measured(subject, meanings)
    published = config.model.published
    if not published:
        return
    yield f"## {words['published_figures']}"
    performance = figures.published_performance(words, published)
    accuracy = figures.published_accuracy(words, published, meanings)
    yield from _tables(words, performance, accuracy)
    notes = [words["misprint"]] if performance and any(row.misprint for row in published) else []
    if performance and any(row.soc == "310" and row.samples_per_second for row in published):
        notes.append(words["published_310"])
    told = words["semicolon"].join(map(escaped, sources.places(published, subject.language)))
    link = f"{words['comma']}<{config.model.guide.url}>" if config.model.guide.url else ""
    yield _items([*notes, f"{words['sources']}{told}{link}"])


def _measured(subject: Subject, meanings: Meanings) -> Iterator[str]:
    words, config, measured = subject.words, subject.config, subject.measured
    if not measured:
        yield words["no_results"].format(soc=config.soc.name)
        return
    yield f"## {words['measured_figures'].format(soc=config.soc.name, tool=config.tool.name)}"
    yield from _tables(
        words,
        figures.measured_performance(words, measured, config.model.published),
        figures.measured_accuracy(words, measured, {**meanings, **columns.meanings(measured)}),
    )


def _tables(words: Words, performance: Sequence[str], accuracy: Sequence[str]) -> Iterator[str]:
    for title, lines in (("performance", performance), ("accuracy", accuracy)):
        if lines:
            yield f"### {words[title]}"
            yield "\n".join(lines)


def _meanings(setup: Setup) -> dict[str, Meaning]:
    """Return the meanings of the data set's metrics, by name."""
    metrics = (metric_of(name, target) for name, target in setup.metrics.items())
    shown = {name: figure for metric in metrics for name, figure in metric.figures.items()}
    return {name: Meaning(figure.unit, figure.better) for name, figure in shown.items()}

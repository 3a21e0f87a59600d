"""The first sections of a guide: what the model is, its inputs and outputs, the versions, and the installation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runner.config.schema import ModelConfig, in_language
from runner.core import TensorSpec
from runner.guide import blocks, figures, wording
from runner.guide.subject import Subject
from runner.guide.wording import Words
from runner.report.markdown import escaped, grid
from runner.results import Environment


def overview(subject: Subject) -> Iterator[str]:
    """Yield what the model is, where it is from, and its inputs and outputs."""
    words, model = subject.words, subject.config.model
    yield blocks.section(words, "overview")
    about = in_language(model.about, subject.language)
    if about:
        yield escaped(about)
    task = wording.TASKS_ZH.get(model.task, model.task) if subject.language == "zh" else model.task.replace("_", " ")
    yield words["made_from"].format(name=model.name, task=task, file=subject.model_file)
    links = [(words["paper"], model.paper), (words["original_guide"], model.guide.url)]
    listed = [f"{name}{words['colon']}<{url}>" for name, url in links if url]
    if listed:
        yield blocks.items(listed)
    yield words["reference"]
    url, _, commit = model.reference.partition(" @ ")
    yield blocks.fence([f"url={url}", *([f"commit_id={commit}"] if commit else [])], "text")
    yield blocks.section(words, "data", "##")
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
        sizes = " x ".join(["batchsize", *blocks.sizes(words, spec.shape)])
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


def environment(subject: Subject) -> Iterator[str]:
    """Yield the versions that were measured with and those of the published figures."""
    words, config = subject.words, subject.config
    yield blocks.section(words, "environment")
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
        yield "\n".join(blocks.linked_grid(*figures.without_empty(headings, rows)))
    notes = [words["python_note"]]
    if config.soc.kind == "ascend":
        notes += [words["duo_note"], words["cann_note"]]
    yield blocks.items(notes)


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


def source(subject: Subject) -> Iterator[str]:
    """Yield how the runner and the tool are installed."""
    words, config = subject.words, subject.config
    yield blocks.section(words, "source", "##")
    yield words["install"]
    yield blocks.fence(["pip install -e ."])
    tool = words.get(f"install_{config.tool.name}")
    if tool:
        yield tool

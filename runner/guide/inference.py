"""The section of a guide on inference: conversion, the commands of each step, scoring, and what differs from others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from runner.config.schema import ModelConfig, in_language
from runner.guide import blocks, by_hand, parameters
from runner.guide.by_hand import Commands
from runner.guide.subject import Subject
from runner.guide.wording import Words
from runner.report.markdown import escaped
from runner.results import values

LONGEST_ARGUMENT = 40
"""Characters of a decoder's argument that is shown."""


def inference(subject: Subject, commands: Commands) -> Iterator[str]:
    """Yield the one command, the commands of each step by hand, and what differs from others."""
    words, config = subject.words, subject.config
    yield blocks.section(words, "inference", "##")
    yield words["one_command"]
    sweep = ["-m"] if len(subject.batches) > 1 else []
    overrides = [*subject.typed, f"batch={','.join(map(str, subject.batches))}"]
    yield blocks.fence([by_hand.command(["python", "-m", "runner", *sweep], overrides)])
    yield words["run_folder"].format(name=config.model.name, soc=config.soc.name, tool=config.tool.name)
    yield words["by_hand" if commands.score else "by_runner"]
    if commands.compile:
        yield blocks.fence([f"bs={subject.batches[0]}"])
        if len(subject.batches) > 1:
            yield words["other_batches"].format(batches=words["comma"].join(map(str, subject.batches)))
    yield f"### {words['convert']}"
    yield from _conversion(subject, commands)
    yield f"### {words['infer']}"
    if commands.infer:
        yield blocks.fence(commands.infer)
        yield from _parameters(subject, config.tool.name, commands.infer)
        yield words["outputs_in"].format(folder=commands.results)
    else:
        yield words["inferred_by_runner"].format(tool=config.tool.name)
    yield f"### {words['score']}"
    if commands.score:
        yield blocks.fence(commands.score)
    yield _scoring(subject)
    if any(row.accuracy for row in config.model.published):
        yield words["criterion"].format(tolerance=f"{config.gates.accuracy.tolerance:g}")
    yield f"### {words['measure']}"
    if commands.benchmark:
        yield blocks.fence(commands.benchmark)
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
        yield blocks.fence(commands.onnx)
        yield words["made"].format(file=commands.onnx_file)
    yield f"#### {words['compile']}"
    if not commands.compile:
        yield words["no_compiler"].format(tool=config.tool.name)
        return
    if commands.source:
        yield words["set_environment"]
        yield blocks.fence(commands.source)
    if commands.chip:
        yield words["find_chip"].format(soc_version=config.soc.soc_version)
        yield blocks.fence(["npu-smi info", f"chip_name={commands.chip}"])
        yield words["chip_shown"]
        yield blocks.fence(parameters.NPU_SMI.format(chip=commands.chip).split("\n"), "text")
    if subject.setup.free_inputs:
        yield words["gears"]
    yield blocks.fence(commands.compile)
    yield from _parameters(subject, "atc" if commands.chip else "trtexec", commands.compile)
    yield words["made"].format(file=commands.compiled_file)


def _parameters(subject: Subject, program: str, lines: Sequence[str], known: Sequence[str] = ()) -> Iterator[str]:
    """Yield what the flags of a program mean that stand in `lines` and not in `known`."""
    told, before = (parameters.meanings(program, each, subject.language) for each in (lines, known))
    listed = [f"`{name}`{subject.words['colon']}{meaning}" for name, meaning in told.items() if name not in before]
    if listed:
        yield subject.words["parameters"]
        yield blocks.items(listed)


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
        name + (f" ({values.sign(meaning.unit)})" if meaning.unit else "") for name, meaning in subject.meanings.items()
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

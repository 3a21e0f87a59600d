"""The section of a guide on the data set: where it comes from, its folders, and how samples are prepared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from runner.config.schema import PreprocessConfig
from runner.core import FREE, TensorSpec
from runner.guide import blocks, by_hand
from runner.guide.by_hand import Commands
from runner.guide.subject import Subject
from runner.guide.wording import Words


def data_set(subject: Subject, commands: Commands) -> Iterator[str]:
    """Yield where the data are from, their folders, and how samples are prepared."""
    words, config = subject.words, subject.config
    yield blocks.section(words, "dataset", "##")
    yield words["get_data"]
    yield from _data(subject)
    if subject.asks_for_root:
        yield words["name_root"]
        yield blocks.fence([f"dataset_root=/path/to/{config.dataset.name}"])
    yield words["preprocessing"]
    yield blocks.items(_preprocessing(words, config.model.preprocess, subject.setup.inputs))
    if commands.samples:
        yield words["prepare"].format(folder=f"{by_hand.SAMPLES}/")
        yield blocks.fence(commands.samples)


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
        yield blocks.fence(tree.split("\n"), "text")


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
    size = " x ".join(blocks.sizes(words, preprocess.size or sides))
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

"""What can be wrong with a model's preprocessing, known before any picture is read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from runner.core import Problem, TensorSpec
from runner.data.preprocess import Geometry, Normalisation

SCALES = f"{1 / 255} (1/255) where the training had 0 to 1, 1.0 where it had 0 to 255"
"""Usual values of model.preprocess.scale."""


def geometry_problems(geometry: Geometry, normalisation: Normalisation, inputs: Sequence[TensorSpec]) -> list[Problem]:
    """Return all problems with the preprocessing of a model that takes `inputs`."""
    return [*_size_problems(geometry, inputs), *_normalisation_problems(normalisation, inputs)]


def _size_problems(geometry: Geometry, inputs: Sequence[TensorSpec]) -> list[Problem]:
    problems = list(_contradictions(geometry))
    sides = [geometry.resize, geometry.crop, *(geometry.size or ()), *(geometry.tile or ())]
    out_of_bounds = any(side is not None and side < 1 for side in sides)
    made = (geometry.crop, geometry.crop) if geometry.crop is not None else _made(geometry)
    if made is None or problems or out_of_bounds:
        return problems
    if geometry.resize is not None and geometry.crop is not None and geometry.crop > geometry.resize:
        problems.append(
            Problem(
                f"model.preprocess.crop {geometry.crop} is larger than model.preprocess.resize {geometry.resize}",
                "make the crop at most the shorter side that pictures are resized to",
            )
        )
    name = "crop" if geometry.crop is not None else "tile" if geometry.tile is not None else "size"
    value = geometry.crop if geometry.crop is not None else list(made)
    wanted = (1 if geometry.channels == "grey" else 3, *made)
    if not any(tensor.takes(wanted) for tensor in inputs):
        problems.append(
            Problem(
                f"model.preprocess.{name} {value} makes pictures {list(wanted)}, "
                + ", ".join(f"input {tensor.name!r} takes {tensor.shown_shape}" for tensor in inputs),
                f"correct model.preprocess.{name} or the shape in model.inputs",
            )
        )
    return problems


def _made(geometry: Geometry) -> tuple[int, int] | None:
    """Return the size that all rows have by the geometry alone; None if it depends on the pictures or the network."""
    if geometry.tile is not None:
        return geometry.tile
    return geometry.size if geometry.fit in ("shorter", "stretch") else None


def _contradictions(geometry: Geometry) -> Iterator[Problem]:
    if geometry.resize is None and not geometry.keep_ratio:
        yield Problem(
            "model.preprocess.keep_ratio is false without a model.preprocess.resize",
            "give model.preprocess.resize the side that pictures are stretched to, or leave keep_ratio out",
        )
    for name in ("resize", "crop"):
        if getattr(geometry, name) is not None and (geometry.fit != "shorter" or geometry.size is not None):
            given = "a model.preprocess.size" if geometry.size is not None else f"fit {geometry.fit}"
            yield Problem(
                f"model.preprocess.{name} is {getattr(geometry, name)} beside {given}",
                f"leave model.preprocess.{name} out: it belongs to fit: shorter without a size",
            )
    channels = 1 if geometry.channels == "grey" else 3
    if len(geometry.pad_value) not in (1, channels) or not all(0 <= value <= 255 for value in geometry.pad_value):
        yield Problem(
            f"model.preprocess.pad_value is {list(geometry.pad_value)}",
            f"give a byte, 0 to 255, or a list of {channels}, in the order of the channels",
        )
    if geometry.tile is not None and geometry.fit == "shorter":
        yield Problem("model.preprocess.tile is given with fit shorter", "set model.preprocess.fit=none")
    if geometry.tile is not None and geometry.overlap >= min(geometry.tile):
        yield Problem(
            f"model.preprocess.overlap is {geometry.overlap}, and tiles are {list(geometry.tile)}",
            "give an overlap smaller than the tile",
        )


def _normalisation_problems(normalisation: Normalisation, inputs: Sequence[TensorSpec]) -> list[Problem]:
    problems = []
    given = {"scale": (normalisation.scale,), "mean": normalisation.mean, "std": normalisation.std}
    if math.isnan(normalisation.scale):
        problems.append(Problem("model.preprocess.scale is to be set", f"in the model's YAML: {SCALES}"))
        del given["scale"]
    for name, values in given.items():
        if not all(map(math.isfinite, values)):
            problems.append(Problem(f"model.preprocess.{name} is {list(values)}", "give finite numbers only"))
    if 0 in normalisation.std:
        problems.append(
            Problem(
                f"model.preprocess.std is {list(normalisation.std)}: values cannot be divided by 0",
                "give the standard deviations that the network was trained with, or [1.0] for none",
            )
        )
    channels = {tensor.name: tensor.shape[0] if tensor.shape else 1 for tensor in inputs}
    for name in ("mean", "std"):
        if len(given[name]) not in (1, *channels.values()):
            channels_text = ", ".join(f"input {tensor!r} has {count} channels" for tensor, count in channels.items())
            problems.append(
                Problem(
                    f"model.preprocess.{name} has {len(given[name])} values, {channels_text}",
                    f"give model.preprocess.{name} one value, or one a channel",
                )
            )
    return problems

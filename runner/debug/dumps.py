"""What a card computed, operator by operator, against ONNX Runtime: the dumps of its outputs.

A dump is named TYPE.NAME.TASK.STREAM.TIME, some without STREAM, as CANN's aicpu_sd writes it (op_dump_task.cpp,
DumpPath): in TYPE and NAME, " ", ".", "/" and a backslash are "_". `msaccucmp.py convert` turns it into an .npy for
each input and output, with `.input.N.npy` or `.output.N.npy` behind its name; both are read. An operator that atc fused
keeps the name of one of its parts: such an output is matched by value with the tensors behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import ComparisonError, DataError, first_few
from runner.core.lazy import NDArray, np
from runner.data.arrays import NPY_ERRORS
from runner.debug import card_dumps, graphs, runtimes
from runner.debug.card_dumps import Output
from runner.debug.closeness import Closeness, CosineFloor, closeness
from runner.debug.graphs import Graph
from runner.debug.layers import Feeds, First, first_node, matched_by_value
from runner.debug.runtimes import Model

LIMIT = CosineFloor(0.999)
"""For what a card computes in float16: the fidelity gate's own limit, unless a model has another."""

_FILE = re.compile(r"[^.]+\.(?P<name>[^.]+)\.\d+(\.\d+)?\.(?P<time>\d+)(\.output\.(?P<index>\d+)\.npy)?")
_REPLACED = str.maketrans(" ./\\", "____")


@dataclass(frozen=True)
class Converted:
    """An output that was converted to .npy."""

    path: Path

    def read(self) -> NDArray[Any]:
        """Return the values.

        Raises:
            OSError or one of NPY_ERRORS: the file cannot be read.
        """
        array: NDArray[Any] = np.load(self.path, allow_pickle=False)
        return array


Dump = Converted | Output
"""An output as it lies in a file."""


@dataclass(frozen=True)
class DumpsCompared:
    """The model's tensors that have a dump, in order, and their closeness.

    `diverging` are those beyond LIMIT. `renamed` maps tensors to the earlier ones under whose names they were dumped;
    `missing` are the nodes without a dump.
    """

    compared: dict[str, Closeness]
    diverging: tuple[str, ...]
    renamed: dict[str, str]
    missing: tuple[str, ...]
    first: First | None


def compare(model: Model, folder: Path, feeds: Feeds) -> DumpsCompared:
    """Compare the dumps below a folder with what the model computes on the same inputs.

    Raises:
        DataError: there is no dump, or one cannot be read. ComparisonError: none is of an operator of the model.
        ToolError: ONNX Runtime rejects the model.
    """
    graph = model.graph
    dumped = find(folder)
    files = of_tensors(graph, dumped)
    if not files:
        names = sorted({name for name, _ in dumped})
        raise ComparisonError(
            f"none of the dumps in {folder} is of an operator of {model.path}: {first_few(names)}",
            "give the ONNX model that atc compiled; the report of python -m runner.debug names it",
        )
    compared = _compared(model, {name: name for name in files}, files, feeds)
    absent = set(graph.computed) - set(files)
    renamed, agreeing = matched_by_value(
        graph, absent, compared, LIMIT, lambda tried: _compared(model, tried, files, feeds)
    )
    found = {name: each for name, each in compared.items() if name not in renamed.values()}
    found |= {name: agreeing[name] for name in renamed}
    ordered = {name: found[name] for name in graph.computed if name in found}
    diverging = tuple(name for name, close in ordered.items() if not LIMIT.holds(close))
    return DumpsCompared(
        compared=ordered,
        diverging=diverging,
        renamed=renamed,
        missing=tuple(_nodes_without(graph, files)),
        first=_first(graph, diverging[0], ordered) if diverging else None,
    )


def find(folder: Path) -> dict[tuple[str, int], Dump]:
    """Return the dumped outputs below a folder by operator's name and number of the output, the latest of each.

    Raises:
        DataError: there is none, or a binary one is damaged.
    """
    found: dict[tuple[str, int], tuple[int, Dump]] = {}
    for path in sorted(folder.rglob("*")):
        match = _FILE.fullmatch(path.name)
        if match is None or not path.is_file():
            continue
        held: Mapping[int, Dump] = (
            {int(match["index"]): Converted(path)} if match["index"] else card_dumps.outputs(path)
        )
        for index, dump in held.items():
            key, time = (match["name"], index), int(match["time"])
            if key not in found or found[key][0] < time:
                found[key] = time, dump
    if not found:
        raise DataError(
            f"{folder} holds no dump that is named TYPE.NAME.TASK.STREAM.TIME, or so with .output.N.npy behind it",
            "give the folder that the tool wrote with --dump 1 (docs/debug.md), or convert its files:"
            f" {card_dumps.CONVERT.format(folder)}",
        )
    return {key: dump for key, (_, dump) in found.items()}


def of_tensors(graph: Graph, dumped: Mapping[tuple[str, int], Dump]) -> dict[str, Dump]:
    """Return the dumps of the model's tensors, in order, by the names of the nodes that compute them."""
    matched = {}
    for name in graph.computed:
        node = graph.nodes[graph.producer[name]]
        key = node.name.translate(_REPLACED), list(node.output).index(name)
        if key in dumped:
            matched[name] = dumped[key]
    return matched


def fitted(array: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """Return a dumped array in the model's shape [N, C, H, W]: from the card's [N, C1, H, W, C0], or reshaped.

    One that fits neither way is returned as it is.
    """
    if array.ndim == 5 and len(shape) == 4:
        count, blocks, height, width, block = array.shape
        if (count, height, width) == (shape[0], *shape[2:]) and 0 <= blocks * block - shape[1] < block:
            channels_first = array.transpose(0, 1, 4, 2, 3).reshape(count, blocks * block, height, width)
            return channels_first[:, : shape[1]]
    return array.reshape(shape) if array.size == np.prod(shape, dtype=int) else array


def _compared(
    model: Model, dumped_as: Mapping[str, str], files: Mapping[str, Dump], feeds: Feeds
) -> dict[str, Closeness]:
    """Compare tensors with the dumps of the tensors that `dumped_as` maps them to."""
    results: dict[str, Closeness] = {}
    for chunk in runtimes.chunks(list(dumped_as), graphs.sizes_bytes(model.proto, feeds)):
        for name, wanted in model.values(chunk, feeds).items():
            reference = np.asarray(wanted)
            results[name] = closeness(fitted(_read(files[dumped_as[name]]), reference.shape), reference)
    return results


def _read(dump: Dump) -> NDArray[Any]:
    try:
        array = dump.read()
    except (OSError, *NPY_ERRORS) as error:
        raise DataError(f"the dump {dump.path} cannot be read: {error}", "dump or convert it again") from error
    if not runtimes.is_numeric(array):
        raise DataError(f"the dump {dump.path} holds no array of numbers", "convert it again")
    return array


def _nodes_without(graph: Graph, files: Mapping[str, Dump]) -> list[str]:
    computing = [node for place, node in enumerate(graph.nodes) if graph.computes(place)]
    return [graphs.label(node) for node in computing if not any(name in files for name in node.output)]


def _first(graph: Graph, name: str, compared: Mapping[str, Closeness]) -> First:
    return first_node(graph, name, graphs.segment(graph, name, compared), compared)

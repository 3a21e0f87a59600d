"""An ONNX graph as tensors and the nodes that compute them. Pure: protos in, names and protos out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runner.errors import DataError

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Graph:
    """A main graph by tensor name.

    `nodes` are in topological order; `producer` is the place among them of the node that computes a tensor;
    `constants` are the tensors that depend on no input: initializers, and what nodes make of nothing else.
    """

    nodes: Sequence[onnx.NodeProto]
    producer: Mapping[str, int]
    constants: Collection[str]
    outputs: tuple[str, ...]

    @property
    def computed(self) -> tuple[str, ...]:
        """The tensors that nodes compute from the inputs, in order."""
        return tuple(name for name in self.producer if name not in self.constants)

    def computes(self, place: int) -> bool:
        """Whether a node computes anything from the inputs."""
        return not all(name in self.constants for name in self.nodes[place].output if name)


@dataclass(frozen=True)
class Segment:
    """Nodes, by place, that lead from the tensors `inputs` to one tensor; those of constants are among them."""

    nodes: tuple[int, ...]
    inputs: tuple[str, ...]


def graph_of(model: onnx.ModelProto) -> Graph:
    """Index the main graph of a model."""
    graph = model.graph
    producer = {name: place for place, node in enumerate(graph.node) for name in node.output if name}
    constants = _initializers(graph)
    for node in graph.node:
        if all(name in constants for name in node_inputs(node)):
            constants.update(node.output)
    return Graph(graph.node, producer, constants, tuple(value.name for value in graph.output))


def input_specs(model: onnx.ModelProto) -> dict[str, tuple[str, tuple[int | None, ...]]]:
    """The inputs by name: type and whole shape, with None for a free axis.

    Raises:
        DataError: an input that is no tensor of numbers.
    """
    import onnx

    weights = _initializers(model.graph)
    found: dict[str, tuple[str, tuple[int | None, ...]]] = {}
    for value in model.graph.input:
        if value.name in weights:
            continue
        tensor = value.type.tensor_type
        kind = tensor.elem_type
        if not value.type.HasField("tensor_type") or kind in (0, onnx.TensorProto.STRING):
            raise DataError(f"the input {value.name} is no tensor of numbers", "compare models that take such tensors")
        shape = tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim)
        found[value.name] = (onnx.helper.tensor_dtype_to_np_dtype(kind).name, shape)
    return found


def segment(graph: Graph, target: str, frontier: Collection[str]) -> Segment:
    """The fewest nodes that compute `target` from tensors of `frontier` and the graph's own inputs."""
    nodes: set[int] = set()
    inputs: dict[str, None] = {}
    pending = [target]
    while pending:
        name = pending.pop()
        if name != target and name in frontier:
            inputs[name] = None
        elif name in graph.producer:
            place = graph.producer[name]
            if place not in nodes:
                nodes.add(place)
                pending += node_inputs(graph.nodes[place])
        elif name not in graph.constants:
            inputs[name] = None
    return Segment(tuple(sorted(nodes)), tuple(inputs))


def followers(graph: Graph, name: str, among: Collection[str], most: int) -> list[str]:
    """Up to `most` tensors of `among` that are computed from `name`, nearest first, through others of `among` only."""
    found: list[str] = []
    reached = {name}
    for node in graph.nodes[graph.producer[name] + 1 :]:
        if reached.isdisjoint(node_inputs(node)):
            continue
        for output in node.output:
            if output in among:
                found.append(output)
                reached.add(output)
        if len(found) >= most:
            break
    return found[:most]


def node_inputs(node: onnx.NodeProto) -> list[str]:
    """The names of the tensors that a node takes, those that its subgraphs take from outside included."""
    names = [name for name in node.input if name]
    for inner in _subgraphs(node):
        names += _taken_from_outside(inner)
    return list(dict.fromkeys(names))


def label(node: onnx.NodeProto) -> str:
    """The node's name, or its first output's where it has none."""
    return node.name or node.output[0]


def exposing(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A copy whose outputs are these tensors; runtimes find their types by themselves."""
    import onnx

    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.output[:]
    result.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return result


def sizes_bytes(model: onnx.ModelProto, inputs: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """The sizes of the tensors whose shapes follow from those of the inputs."""
    import onnx

    shaped = onnx.ModelProto()
    shaped.CopyFrom(model)
    for value in shaped.graph.input:
        if value.name in inputs:
            value.CopyFrom(_value_info(value.name, inputs[value.name]))
    for value in shaped.graph.output:
        value.type.tensor_type.ClearField("shape")
    del shaped.graph.value_info[:]  # may hold the shapes of another batch size
    try:
        inferred = onnx.shape_inference.infer_shapes(shaped).graph
    except (RuntimeError, ValueError):
        return {}
    return {value.name: size for value in (*inferred.value_info, *inferred.output) if (size := _size_bytes(value))}


def cut_out(
    model: onnx.ModelProto,
    part: Segment,
    inputs: Mapping[str, NDArray[Any]],
    names: Mapping[str, str],
    target: tuple[str, str],
) -> onnx.ModelProto:
    """A model of one segment. `inputs` are what it takes; it takes more of them than it uses where they are more.

    `names` are the segment's own names of the inputs, where they differ; `target` is its own name of its output, and
    the one that it gets.
    """
    import onnx

    graph = onnx.GraphProto(name="replay")
    graph.input.extend(_value_info(name, array) for name, array in inputs.items())
    for name in inputs:
        if names.get(name, name) != name:
            graph.node.append(onnx.helper.make_node("Identity", [name], [names[name]]))
    graph.node.extend(model.graph.node[place] for place in part.nodes)
    own, given = target
    if own != given:
        graph.node.append(onnx.helper.make_node("Identity", [own], [given]))
    graph.output.append(onnx.ValueInfoProto(name=given))
    used = {name for place in part.nodes for name in node_inputs(model.graph.node[place])}
    graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in used)
    graph.sparse_initializer.extend(each for each in model.graph.sparse_initializer if each.values.name in used)
    return onnx.ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions, graph=graph
    )


def _initializers(graph: onnx.GraphProto) -> set[str]:
    return {tensor.name for tensor in graph.initializer} | {each.values.name for each in graph.sparse_initializer}


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    import onnx

    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _taken_from_outside(graph: onnx.GraphProto) -> list[str]:
    own = _initializers(graph) | {value.name for value in graph.input}
    own |= {name for node in graph.node for name in node.output}
    taken = [name for node in graph.node for name in node_inputs(node)]
    taken += [value.name for value in graph.output]
    return [name for name in taken if name not in own]


def _value_info(name: str, array: NDArray[Any]) -> onnx.ValueInfoProto:
    import onnx

    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, array.shape)


def _size_bytes(value: onnx.ValueInfoProto) -> int | None:
    import onnx

    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not all(axis.HasField("dim_value") for axis in tensor.shape.dim):
        return None
    itemsize = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).itemsize
    return itemsize * int(np.prod([axis.dim_value for axis in tensor.shape.dim], dtype=np.int64))

"""ONNX graphs as tensors and the nodes that compute them. Pure functions of protos."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.core import DataError
from runner.core.lazy import NDArray, np, onnx
from runner.graph import onnx_files


@dataclass(frozen=True)
class Graph:
    """A model's main graph, indexed by tensor name.

    `nodes` are in topological order; `producer` maps a tensor to the index of the node that computes it; `constants`
    are the tensors that depend on no input: initializers, and the outputs of nodes that take only constants.
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
    """Indices of the nodes that lead from the tensors `inputs` to one tensor, those of constants included."""

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
    """Return the inputs by name: data type and full shape, with None for a free axis.

    Raises:
        DataError: an input is not a numeric tensor.
    """
    specs: dict[str, tuple[str, tuple[int | None, ...]]] = {}
    for value in onnx_files.inputs_of(model.graph):
        tensor = value.type.tensor_type
        kind = tensor.elem_type
        if not value.type.HasField("tensor_type") or kind in (0, onnx.TensorProto.STRING):
            raise DataError(f"the input {value.name} is no tensor of numbers", "compare models that take such tensors")
        shape = tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim)
        specs[value.name] = (onnx.helper.tensor_dtype_to_np_dtype(kind).name, shape)
    return specs


def segment(graph: Graph, target: str, frontier: Collection[str]) -> Segment:
    """Return the fewest nodes that compute `target` from tensors of `frontier` and the graph's own inputs."""
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
    """Return up to `most` tensors of `among` computed from `name` through tensors of `among` only, nearest first."""
    following: list[str] = []
    reached = {name}
    for node in graph.nodes[graph.producer[name] + 1 :]:
        if reached.isdisjoint(node_inputs(node)):
            continue
        for output in node.output:
            if output in among:
                following.append(output)
                reached.add(output)
        if len(following) >= most:
            break
    return following[:most]


def node_inputs(node: onnx.NodeProto) -> list[str]:
    """Return the names of a node's input tensors, including those that its subgraphs take from outside."""
    names = [name for name in node.input if name]
    for inner in onnx_files.subgraphs(node):
        names += _taken_from_outside(inner)
    return list(dict.fromkeys(names))


def label(node: onnx.NodeProto) -> str:
    """Return the node's name, or its first output's if it has none."""
    return node.name or node.output[0]


def exposing(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """Return a copy whose outputs are these tensors; runtimes infer their types."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.output[:]
    result.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return result


def sizes_bytes(model: onnx.ModelProto, inputs: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Return the sizes of the tensors whose shapes can be inferred from those of the inputs."""
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
    """Return a model of one segment, which declares all `inputs`, even those that it does not use.

    `names` maps inputs to the segment's own names, if they differ; `target` is the output's name in the segment and its
    name in the new model.
    """
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


def _taken_from_outside(graph: onnx.GraphProto) -> list[str]:
    own = _initializers(graph) | {value.name for value in graph.input}
    own |= {name for node in graph.node for name in node.output}
    taken = [name for node in graph.node for name in node_inputs(node)]
    taken += [value.name for value in graph.output]
    return [name for name in taken if name not in own]


def _value_info(name: str, array: NDArray[Any]) -> onnx.ValueInfoProto:
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, array.shape)


def _size_bytes(value: onnx.ValueInfoProto) -> int | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not all(axis.HasField("dim_value") for axis in tensor.shape.dim):
        return None
    itemsize = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).itemsize
    return itemsize * int(np.prod([axis.dim_value for axis in tensor.shape.dim], dtype=np.int64))

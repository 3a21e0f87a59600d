"""Rewrites of ONNX graphs for compilers that do not support everything in onnxsim's output; see model.surgery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.core.lazy import onnx
from runner.graph import onnx_files

_INT64_MAX = (1 << 63) - 1
_FIRST_OPSET_WITH_PAD_INPUTS = 11
_FIRST_OPSET_WITH_SLICE_INPUTS = 10


@dataclass(frozen=True)
class _Pads:
    """The elements a Pad adds (or, if negative, removes) at both ends of each of its axes."""

    axes: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]


def negative_pads_to_slices(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return an equivalent copy in which no constant-mode Pad of the main graph has negative pads.

    A Pad whose constant pads are partly negative becomes a Pad with the positive ones, if any, and a Slice. Pads
    computed at run time and other modes are unchanged.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    opset = onnx_files.opset_of(model) or 0
    constants = _constants(graph)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        pads = _pads_of(node, constants, opset)
        if pads is None or min(*pads.begins, *pads.ends) >= 0:
            nodes.append(node)
        else:
            nodes += _pad_and_slice(graph, node, pads, opset)
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unused_constants(graph, {name for node in model.graph.node if node.op_type == "Pad" for name in node.input})
    return result


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    return constants


def _pads_of(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto], opset: int) -> _Pads | None:
    """Return the pads of a constant-mode Pad; None for other nodes and for pads that are not constant."""
    if node.op_type != "Pad" or node.domain not in ("", "ai.onnx"):
        return None
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    if attributes.get("mode", b"constant") != b"constant":
        return None
    if opset < _FIRST_OPSET_WITH_PAD_INPUTS:
        pads = [int(value) for value in attributes.get("pads", ())]
        axes = list(range(len(pads) // 2))
    else:
        names = [*node.input, "", ""]
        if names[1] not in constants or (names[3] and names[3] not in constants):
            return None
        pads = _integers(constants[names[1]])
        axes = _integers(constants[names[3]]) if names[3] else list(range(len(pads) // 2))
    count = len(axes)
    return _Pads(tuple(axes), tuple(pads[:count]), tuple(pads[count:])) if count else None


def _integers(tensor: onnx.TensorProto) -> list[int]:
    return [int(value) for value in onnx.numpy_helper.to_array(tensor).reshape(-1)]


def _pad_and_slice(graph: onnx.GraphProto, node: onnx.NodeProto, pads: _Pads, opset: int) -> list[onnx.NodeProto]:
    """Pad before slicing: a crop larger than the tensor also removes padding of the other end."""
    source, nodes = node.input[0], []
    stem = node.output[0]
    if max(*pads.begins, *pads.ends) > 0:
        nodes.append(_positive_pad(graph, node, pads, opset, f"{stem}_padded"))
        source = f"{stem}_padded"
    cropped = [index for index in range(len(pads.axes)) if min(pads.begins[index], pads.ends[index]) < 0]
    bounds = {
        "starts": [max(-pads.begins[index], 0) for index in cropped],
        "ends": [pads.ends[index] if pads.ends[index] < 0 else _INT64_MAX for index in cropped],
        "axes": [pads.axes[index] for index in cropped],
    }
    nodes.append(_slice(graph, source, node, bounds, opset))
    return nodes


def _positive_pad(graph: onnx.GraphProto, node: onnx.NodeProto, pads: _Pads, opset: int, output: str) -> onnx.NodeProto:
    positive = [max(value, 0) for value in (*pads.begins, *pads.ends)]
    result = onnx.NodeProto()
    result.CopyFrom(node)
    result.name = f"{node.name}_padded" if node.name else ""
    result.output[0] = output
    if opset < _FIRST_OPSET_WITH_PAD_INPUTS:
        next(attribute for attribute in result.attribute if attribute.name == "pads").ints[:] = positive
    else:
        result.input[1] = _add_constant(graph, f"{output}_pads", positive)
    return result


def _slice(
    graph: onnx.GraphProto, source: str, node: onnx.NodeProto, bounds: dict[str, list[int]], opset: int
) -> onnx.NodeProto:
    output = node.output[0]
    if opset < _FIRST_OPSET_WITH_SLICE_INPUTS:
        result = onnx.helper.make_node("Slice", [source], [output], node.name)
        result.attribute.extend(onnx.helper.make_attribute(name, values) for name, values in bounds.items())
        return result
    inputs = [_add_constant(graph, f"{output}_{name}", values) for name, values in bounds.items()]
    return onnx.helper.make_node("Slice", [source, *inputs], [output], node.name)


def _add_constant(graph: onnx.GraphProto, name: str, values: list[int]) -> str:
    graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [len(values)], values))
    return name


def _drop_unused_constants(graph: onnx.GraphProto, candidates: set[str]) -> None:
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    orphans = candidates - used
    for tensors in (graph.initializer, graph.input):
        for index in reversed(range(len(tensors))):
            if tensors[index].name in orphans:
                del tensors[index]
    for index in reversed(range(len(graph.node))):
        if graph.node[index].op_type == "Constant" and graph.node[index].output[0] in orphans:
            del graph.node[index]

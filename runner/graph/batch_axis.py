"""A batch axis for outputs that have none, such as the boxes [n, 4] behind a suppression in the graph."""

from __future__ import annotations

from collections.abc import Mapping

from runner.core.lazy import onnx
from runner.graph import onnx_files

_FIRST_OPSET_WITH_UNSQUEEZE_INPUTS = 13


def add(model: onnx.ModelProto, axes: Mapping[str, int]) -> None:
    """Put a first axis of size 1 before the axes of some outputs, which keep their names; change the model in place.

    `axes` tells how many axes each of these outputs has in the model.
    """
    for output in model.graph.output:
        if output.name not in axes:
            continue
        name, inner = output.name, f"{output.name}_of_one_sample"
        _rename(model.graph, name, inner)
        model.graph.node.append(_unsqueeze(model, inner, name))
        sizes: list[str | int | None] = [1, *(f"{name}_{axis}" for axis in range(1, axes[name] + 1))]
        output.CopyFrom(onnx.helper.make_tensor_value_info(name, output.type.tensor_type.elem_type, sizes))


def _rename(graph: onnx.GraphProto, name: str, new: str) -> None:
    """Rename a tensor where nodes compute or read it, also in the graphs inside of nodes."""
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if each == name else each for each in names]
        for inner in onnx_files.subgraphs(node):
            _rename(inner, name, new)


def _unsqueeze(model: onnx.ModelProto, source: str, output: str) -> onnx.NodeProto:
    if (onnx_files.opset_of(model) or 0) < _FIRST_OPSET_WITH_UNSQUEEZE_INPUTS:
        return onnx.helper.make_node("Unsqueeze", [source], [output], axes=[0])
    axes = onnx.helper.make_tensor(f"{output}_axes", onnx.TensorProto.INT64, [1], [0])
    model.graph.initializer.append(axes)
    return onnx.helper.make_node("Unsqueeze", [source, axes.name], [output])

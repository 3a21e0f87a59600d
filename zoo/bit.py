"""What BiT's ResNets need in ONNX: they pad with zeros, below which values lie, in front of their max-pooling."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper


def zero_padding_as_convolution(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which a Pad with zeros before a MaxPool is a Conv, 1x1, that copies and pads; the values are the same.

    ONNX Runtime (seen in 1.31) merges the two into a MaxPool with pads of its own, which are minus infinity.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    pooled = {node.input[0] for node in graph.node if node.op_type == "MaxPool"}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants |= {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    channels = {
        value.name: value.type.tensor_type.shape.dim[1].dim_value
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
        if len(value.type.tensor_type.shape.dim) == 4
    }
    for index, node in enumerate(graph.node):
        if node.op_type != "Pad" or node.output[0] not in pooled or node.input[1] not in constants:
            continue
        source, name = node.input[0], f"{node.output[0]}_copied"
        _, _, top, left, _, _, bottom, right = numpy_helper.to_array(constants[node.input[1]]).tolist()
        weight = np.ones((channels[source], 1, 1, 1), np.float32)
        graph.initializer.append(numpy_helper.from_array(weight, name))
        pads = [top, left, bottom, right]
        graph.node[index].CopyFrom(
            helper.make_node("Conv", [source, name], [node.output[0]], node.name, group=channels[source], pads=pads)
        )
    return result

import io
import warnings

import onnx
import onnxruntime
import onnxsim
import pytest
import torch
from torch import nn

from zoo.bit import zero_padding_as_convolution


@pytest.mark.parametrize("opset", [11, 13])
def test_values_below_zero_are_pooled_with_the_zeros_that_the_network_pads_with(opset: int) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConstantPad2d((1, 2, 3, 0), 0.0), nn.MaxPool2d(3, 2)).eval()
    nn.init.constant_(network[0].bias, -10.0)
    pictures, file = torch.randn(1, 3, 9, 9), io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (pictures,), file, dynamo=False, opset_version=opset, input_names=["image"])
    simplified, _ = onnxsim.simplify(onnx.load_from_string(file.getvalue()))
    rewritten = zero_padding_as_convolution(simplified)
    onnx.checker.check_model(rewritten)
    assert [node.op_type for node in rewritten.graph.node if node.op_type != "Constant"] == ["Conv", "Conv", "MaxPool"]
    (pooled,) = onnxruntime.InferenceSession(rewritten.SerializeToString()).run(None, {"image": pictures.numpy()})
    torch.testing.assert_close(torch.from_numpy(pooled), network(pictures))


def test_padding_of_what_is_not_pooled_stays() -> None:
    tensor = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2, 4, 4])
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 2, 6, 6])
    pads = onnx.helper.make_tensor("pads", onnx.TensorProto.INT64, [8], [0, 0, 1, 1, 0, 0, 1, 1])
    node = onnx.helper.make_node("Pad", ["x", "pads"], ["y"])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [tensor], [output], [pads]))
    assert zero_padding_as_convolution(model) == model

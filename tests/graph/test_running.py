"""What ONNX Runtime computes tells of a model's outputs."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from runner.core import FREE
from runner.graph import running


def test_the_number_of_values_that_a_graph_selects_is_free_though_one_probe_tells_it(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("NonZero", ["x"], ["places"]),
            helper.make_node("Unsqueeze", ["places", "first"], ["batched"]),
            helper.make_node("Relu", ["x"], ["copy"]),
        ],
        "selecting",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [
            helper.make_tensor_value_info("batched", TensorProto.INT64, [1, 2, "n"]),
            helper.make_tensor_value_info("copy", TensorProto.FLOAT, [1, 4]),
        ],
        [helper.make_tensor("first", TensorProto.INT64, [1], [0])],
    )
    path = tmp_path / "selecting.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    selected, copied = running.outputs_of(path, ["batched", "copy"], [{"x": np.ones((1, 4), np.float32)}])
    assert selected.shape == (2, FREE)
    assert copied.shape == (4,)

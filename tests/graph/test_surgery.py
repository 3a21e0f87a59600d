"""Small graphs with Pad nodes; ONNX Runtime computes the same before and after."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from runner.graph.surgery import negative_pads_to_slices

SHAPE = (1, 2, 5, 6)


def model_with_pad(
    pads: list[int], opset: int = 11, mode: str = "constant", value: float | None = None, constant_node: bool = False
) -> onnx.ModelProto:
    """x [1, 2, 5, 6] -> Pad -> Relu -> y."""
    initializers, nodes = [], []
    if opset < 11:
        attributes = {"pads": pads} | ({} if value is None else {"value": value})
        nodes.append(helper.make_node("Pad", ["x"], ["padded"], "pad", mode=mode, **attributes))
    else:
        tensor = helper.make_tensor("pads", TensorProto.INT64, [len(pads)], pads)
        if constant_node:
            nodes.append(helper.make_node("Constant", [], ["pads"], value=tensor))
        else:
            initializers.append(tensor)
        if value is not None:
            initializers.append(helper.make_tensor("value", TensorProto.FLOAT, [], [value]))
        inputs = ["x", "pads"] + ([] if value is None else ["value"])
        nodes.append(helper.make_node("Pad", inputs, ["padded"], "pad", mode=mode))
    nodes.append(helper.make_node("Relu", ["padded"], ["y"]))
    shape = [size + pads[axis] + pads[axis + 4] for axis, size in enumerate(SHAPE)]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


def operations(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def run(model: onnx.ModelProto) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    return session.run(None, {"x": x})[0]


CROPS = {
    "at the beginnings": [0, 0, -1, -2, 0, 0, 0, 0],
    "at the ends": [0, 0, 0, 0, 0, 0, -2, -1],
    "at both": [0, -1, -1, -1, 0, 0, -1, -2],
}
MIXED = {
    "as pnasnet": [0, 0, -1, -1, 0, 0, 1, 1],
    "one axis each": [0, 0, -2, 3, 0, 0, 0, 0],
    "a crop into what was added": [0, 0, -7, 0, 0, 0, 4, 0],
}


@pytest.mark.parametrize("pads", CROPS.values(), ids=CROPS)
@pytest.mark.parametrize("opset", [9, 10, 11, 13])
def test_crops_become_slices(pads: list[int], opset: int) -> None:
    model = model_with_pad(pads, opset)
    changed = negative_pads_to_slices(model)
    assert operations(changed) == {"Slice": 1, "Relu": 1}
    np.testing.assert_array_equal(run(changed), run(model))


@pytest.mark.parametrize("pads", MIXED.values(), ids=MIXED)
@pytest.mark.parametrize("opset", [9, 11])
@pytest.mark.parametrize("value", [None, 2.5])
def test_mixed_pads_become_a_pad_and_a_slice(pads: list[int], opset: int, value: float | None) -> None:
    model = model_with_pad(pads, opset, value=value)
    changed = negative_pads_to_slices(model)
    assert operations(changed) == {"Pad": 1, "Slice": 1, "Relu": 1}
    np.testing.assert_array_equal(run(changed), expected(pads, value or 0.0))


def expected(pads: list[int], value: float) -> np.ndarray:
    x = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    padded = np.pad(x, [(max(pads[axis], 0), max(pads[axis + 4], 0)) for axis in range(4)], constant_values=value)
    ends = [end if end < 0 else None for end in pads[4:]]
    return padded[tuple(slice(max(-begin, 0), end) for begin, end in zip(pads[:4], ends, strict=True))]


def test_pads_in_a_constant_node_are_read_and_dropped() -> None:
    model = model_with_pad(CROPS["at both"], constant_node=True)
    changed = negative_pads_to_slices(model)
    assert operations(changed) == {"Slice": 1, "Relu": 1}
    np.testing.assert_array_equal(run(changed), run(model))


def test_chosen_axes_are_kept() -> None:
    model = model_with_pad([0, 0, -1, 0, 0, 0, -1, 0], opset=18)
    del model.graph.initializer[:]
    model.graph.initializer.append(helper.make_tensor("pads", TensorProto.INT64, [2], [-1, -1]))
    model.graph.initializer.append(helper.make_tensor("axes", TensorProto.INT64, [1], [2]))
    model.graph.node[0].input.extend(["", "axes"])
    changed = negative_pads_to_slices(model)
    assert operations(changed) == {"Slice": 1, "Relu": 1}
    np.testing.assert_array_equal(run(changed), run(model))


@pytest.mark.parametrize("pads", [[0] * 8, [0, 0, 1, 1, 0, 0, 2, 2]])
def test_pads_that_add_stay_as_they_are(pads: list[int]) -> None:
    model = model_with_pad(pads)
    assert negative_pads_to_slices(model) == model


def test_other_modes_stay_as_they_are() -> None:
    model = model_with_pad([0, 0, -1, 0, 0, 0, 0, 0], mode="edge")
    assert negative_pads_to_slices(model) == model


def test_pads_from_an_input_stay_as_they_are() -> None:
    model = model_with_pad([0, 0, -1, 0, 0, 0, 0, 0])
    del model.graph.initializer[:]
    model.graph.input.append(helper.make_tensor_value_info("pads", TensorProto.INT64, [8]))
    assert negative_pads_to_slices(model) == model


def test_the_given_model_is_not_changed() -> None:
    model = model_with_pad(CROPS["at both"])
    before = model.SerializeToString()
    negative_pads_to_slices(model)
    assert model.SerializeToString() == before


def test_pads_that_two_nodes_share_stay_for_the_other() -> None:
    model = model_with_pad([0, 0, -1, 0, 0, 0, 0, 0])
    model.graph.node.append(helper.make_node("Cast", ["pads"], ["as_float"], to=TensorProto.FLOAT))
    model.graph.output.append(helper.make_tensor_value_info("as_float", TensorProto.FLOAT, [8]))
    assert operations(negative_pads_to_slices(model)) == {"Slice": 1, "Relu": 1, "Cast": 1}
    run(negative_pads_to_slices(model))

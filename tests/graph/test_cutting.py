import itertools

import numpy as np
import pytest
from onnx import TensorProto, helper

from runner.core import FREE, ExportError, TensorSpec
from runner.graph import cutting, onnx_files, running

IMAGE = TensorSpec("x", "float32", (3, 4))


def model(nodes=None, sizes=("batch", 3, 4), outputs=("y",), opset=13, extra_domains=()):
    """x -> double -> y (a sum over the last axis), and from double a NonZero that no compiler likes."""
    nodes = nodes or [
        helper.make_node("Mul", ["x", "two"], ["double"]),
        helper.make_node("ReduceSum", ["double", "axes"], ["y"], keepdims=0),
        helper.make_node("NonZero", ["double"], ["found"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(sizes))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [
            helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0]),
            helper.make_tensor("axes", TensorProto.INT64, [1], [2]),
            helper.make_tensor("unused", TensorProto.FLOAT, [1], [0.0]),
        ],
    )
    domains = [helper.make_opsetid(domain, 1) for domain in extra_domains]
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), *domains], ir_version=8)


def test_what_the_outputs_do_not_need_is_left_out():
    part = cutting.cut(model(), [IMAGE], ["y"], None)
    assert [node.op_type for node in part.graph.node] == ["Mul", "ReduceSum"]
    assert [tensor.name for tensor in part.graph.initializer] == ["two", "axes"]


def test_a_name_inside_the_graph_becomes_an_output():
    part = cutting.cut(model(), [IMAGE], ["double"], None)
    feeds = {"x": np.arange(24, dtype=np.float32).reshape(2, 3, 4)}
    np.testing.assert_array_equal(running.run(part, feeds)[0], 2 * feeds["x"])


def test_outputs_are_in_the_declared_order():
    part = cutting.cut(model(), [IMAGE], ["y", "double"], None)
    assert [value.name for value in part.graph.output] == ["y", "double"]
    assert [len(array.shape) for array in running.run(part, {"x": np.zeros((1, 3, 4), np.float32)})] == [2, 3]


def test_dynamic_axes_get_the_declared_sizes():
    part = cutting.cut(model(sizes=("n", 3, "w")), [IMAGE], ["y"], 5)
    assert onnx_files.axes_of(part.graph.input[0]) == (5, 3, 4)


def test_a_free_size_stays_dynamic():
    part = cutting.cut(model(sizes=("n", 3, "w")), [TensorSpec("x", "float32", (3, FREE))], ["y"], None)
    assert onnx_files.axes_of(part.graph.input[0]) == ("batch", 3, "x_2")


def test_an_output_that_is_not_there_is_told_with_the_nearest():
    with pytest.raises(ExportError, match="has no output 'doubl'") as error:
        cutting.cut(model(), [IMAGE], ["doubl"], None)
    assert "choose model.outputs from its own, y" in error.value.fix
    assert "double" in error.value.fix


def test_an_input_that_is_not_there_is_told():
    with pytest.raises(ExportError, match="has no input 'image'") as error:
        cutting.cut(model(), [TensorSpec("image", "float32", (3, 4))], ["y"], None)
    assert error.value.fix == "it has x: correct model.inputs"


def test_a_fixed_batch_is_told():
    with pytest.raises(ExportError, match="it is fixed to a batch of 1") as error:
        cutting.cut(model(sizes=(1, 3, 4)), [IMAGE], ["y"], None)
    assert "batch=1" in error.value.fix


def test_a_fixed_batch_that_the_run_asks_for_is_taken():
    assert onnx_files.axes_of(cutting.cut(model(sizes=(2, 3, 4)), [IMAGE], ["y"], 2).graph.input[0]) == (2, 3, 4)


@pytest.mark.parametrize("tensor", [TensorSpec("x", "float32", (3, 5)), TensorSpec("x", "float16", (3, 4))])
def test_an_input_of_another_size_or_type_is_told(tensor):
    with pytest.raises(ExportError, match=r"the input x of the ONNX model is float32 \['batch', 3, 4\], not"):
        cutting.cut(model(), [tensor], ["y"], None)


def test_an_undeclared_input_is_told():
    with_two = model(nodes=[helper.make_node("Add", ["x", "z"], ["y"])])
    with_two.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 3, 4]))
    with pytest.raises(ExportError, match=r"the outputs need the inputs z, which model\.inputs does not declare"):
        cutting.cut(with_two, [IMAGE], ["y"], None)


def test_operators_outside_the_standard_are_told():
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["double"]),
        helper.make_node("BatchNms", ["double"], ["y"], domain="custom"),
    ]
    typed = model(nodes=nodes, extra_domains=("custom",))
    with pytest.raises(ExportError, match=r"operators outside the standard: custom\.BatchNms"):
        cutting.cut(typed, [IMAGE], ["y"], None)
    part = cutting.cut(typed, [IMAGE], ["double"], None)
    assert [entry.domain for entry in part.opset_import] == [""]


def test_what_a_subgraph_takes_from_around_it_is_kept():
    branch = helper.make_graph(
        [helper.make_node("Identity", ["double"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, ["batch", 3, 4])],
    )
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["double"]),
        helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch),
    ]
    conditional = model(nodes=nodes)
    conditional.graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
    part = cutting.cut(conditional, [IMAGE], ["y"], None)
    feeds = {"x": np.ones((1, 3, 4), np.float32)}
    np.testing.assert_array_equal(running.run(part, feeds)[0], 2 * feeds["x"])


def calling(times):
    """x -> y by a function of the model's own, each of which calls the one before it `times` times."""
    versions = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
    negated = [helper.make_node("Neg", ["a"], ["b"])]
    functions = [helper.make_function("ai.onnx.ml", "F0", ["a"], ["b"], negated, versions)]
    for number in range(1, 40):
        names = ["a", *(f"t{index}" for index in range(1, times)), "b"]
        nodes = [
            helper.make_node(f"F{number - 1}", [before], [after], domain="ai.onnx.ml")
            for before, after in itertools.pairwise(names)
        ]
        functions.append(helper.make_function("ai.onnx.ml", f"F{number}", ["a"], ["b"], nodes, versions))
    made = model([helper.make_node("F39", ["x"], ["y"], domain="ai.onnx.ml")], extra_domains=["ai.onnx.ml"])
    made.functions.extend(functions)
    return made


@pytest.mark.parametrize("times", [1, 2])
def test_functions_of_the_models_own_are_told_before_they_are_written_out(times):
    with pytest.raises(ExportError, match=r"operators outside the standard: ai\.onnx\.ml\.F39"):
        cutting.cut(calling(times), [IMAGE], ["y"], None)


def test_functions_that_the_outputs_do_not_need_are_left_out():
    made = calling(2)
    made.graph.node.append(helper.make_node("Neg", ["x"], ["z"]))
    assert not cutting.cut(made, [IMAGE], ["z"], None).functions


def test_an_operator_outside_the_standard_is_told_in_a_branch_too():
    branch = helper.make_graph(
        [helper.make_node("Odd", ["x"], ["z"], domain="own")], "branch", [], [helper.make_empty_tensor_value_info("z")]
    )
    nodes = [helper.make_node("If", ["two"], ["y"], then_branch=branch, else_branch=branch)]
    with pytest.raises(ExportError, match=r"outside the standard: own\.Odd"):
        cutting.cut(model(nodes, extra_domains=["own"]), [IMAGE], ["y"], None)


def test_an_input_that_is_a_sequence_is_told():
    made = model([helper.make_node("SequenceLength", ["x"], ["y"])])
    made.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None))
    with pytest.raises(ExportError, match="the input x of the ONNX model is of sequence type, and no tensor"):
        cutting.cut(made, [IMAGE], ["y"], None)


def test_an_input_of_an_unknown_type_is_told():
    made = model()
    made.graph.input[0].type.tensor_type.elem_type = 99
    with pytest.raises(ExportError, match="the input x of the ONNX model is of the unknown type 99"):
        cutting.cut(made, [IMAGE], ["y"], None)

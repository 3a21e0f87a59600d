"""The search on small graphs whose faults and fusions are known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runner.debug import layers, runtimes
from runner.debug.closeness import Tolerance
from runner.debug.layers import Layers

X = {"x": np.array([[1.0, -2.0, 3.0]], np.float32)}


def write(path: Path, nodes: Sequence[onnx.NodeProto], constants: dict[str, object], output: str = "y") -> Path:
    """A model from x [1, 3] to one output."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)]), path)
    return path


def node(op: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], f"{op}_{output}", **attributes)


@pytest.fixture
def compare(tmp_path):
    def run(one: Path, other: Path, runtime: str = runtimes.UNOPTIMISED, rtol: float = 1e-3) -> Layers:
        first = runtimes.open_model(one, runtimes.UNOPTIMISED, tmp_path)
        return layers.compare(first, runtimes.open_model(other, runtime, tmp_path), X, Tolerance(rtol))

    return run


CHAIN = [
    node("Mul", "x w", "scaled"),
    node("Add", "scaled v", "shifted"),
    node("Relu", "shifted", "positive"),
    node("Mul", "positive u", "y"),
]
FUSED = [node("Add", "x z", "scaled"), node("Relu", "scaled", "positive"), node("Mul", "positive u", "y")]
"""The same for w = 1, its second node taken in by the first, which keeps its own output's name."""
CONSTANTS = {"w": 1.0, "v": 0.5, "z": 0.5, "u": 3.0}


def test_a_fusion_that_keeps_the_earlier_name_agrees(compare, tmp_path) -> None:
    found = compare(write(tmp_path / "a.onnx", CHAIN, CONSTANTS), write(tmp_path / "b.onnx", FUSED, CONSTANTS))
    assert (found.diverging, found.renamed, found.missing) == ((), {"shifted": "scaled"}, ())
    assert not found.diverge


def test_a_fault_behind_a_fusion_is_not_blamed_on_it(compare, tmp_path) -> None:
    wrong = write(tmp_path / "b.onnx", FUSED, CONSTANTS | {"u": 4.0})
    found = compare(write(tmp_path / "a.onnx", CHAIN, CONSTANTS), wrong)
    assert found.diverge
    assert found.first.node.name == "Mul_y"
    assert found.first.alone.max_abs == found.first.output.max_abs == 3.5
    assert found.first.differences == ("constant u: it differs by up to 1, its largest value is 3",)


def test_a_fault_in_a_fusion_tells_what_may_have_been_taken_in(compare, tmp_path) -> None:
    wrong = write(tmp_path / "b.onnx", FUSED, CONSTANTS | {"z": 0.9})
    found = compare(write(tmp_path / "a.onnx", CHAIN, CONSTANTS), wrong)
    assert found.first.node.name == "Mul_scaled"
    assert found.first.other_node.op == "Add"
    assert found.first.swallowed == ("shifted",)


def test_nodes_without_a_counterpart_are_named_together(compare, tmp_path) -> None:
    gone = [node("Sub", "x z", "other"), node("Relu", "other", "positive"), node("Mul", "positive u", "y")]
    found = compare(write(tmp_path / "a.onnx", CHAIN, CONSTANTS), write(tmp_path / "b.onnx", gone, CONSTANTS))
    assert found.first.node.name == "Relu_positive"
    assert found.first.between == ("Mul_scaled", "Add_shifted", "Relu_positive")
    assert [len(model.graph.node) for model in found.first.replay.models] == [3, 2]


def test_a_masked_difference_makes_no_node_at_fault(compare, tmp_path) -> None:
    def masked(name: str, value: float) -> Path:
        nodes = [node("Add", "x v", "a"), node("Mul", "a zero", "b"), node("Add", "b x", "y")]
        return write(tmp_path / name, nodes, {"v": value, "zero": 0.0})

    found = compare(masked("a.onnx", 1.0), masked("b.onnx", 2.0))
    assert found.diverging == ("a",)
    assert not found.passed_on
    assert not found.diverge


def test_differences_that_add_up_are_blamed_on_no_node(compare, tmp_path) -> None:
    def sums(name: str, off: float) -> Path:
        nodes = [node("Add", f"{f't{place - 1}' if place else 'x'} c", f"t{place}") for place in range(6)]
        return write(tmp_path / name, [*nodes, node("Identity", "t5", "y")], {"c": 1.0 + off})

    found = compare(sums("a.onnx", 0.0), sums("b.onnx", 0.004), rtol=1.2e-3)
    assert found.diverging
    assert not found.first.diverges_alone
    assert not found.diverge


def test_the_real_fault_is_found_behind_differences_that_add_up(compare, tmp_path) -> None:
    def sums(name: str, off: float, last: float) -> Path:
        nodes = [node("Add", f"{f't{place - 1}' if place else 'x'} c", f"t{place}") for place in range(6)]
        return write(tmp_path / name, [*nodes, node("Mul", "t5 u", "y")], {"c": 1.0 + off, "u": last})

    found = compare(sums("a.onnx", 0.0, 1.0), sums("b.onnx", 0.004, 2.0), rtol=1.2e-3)
    assert found.first.node.name == "Mul_y"
    assert found.diverge


def test_constants_made_by_nodes_belong_to_the_node_that_takes_them(compare, tmp_path) -> None:
    def with_node(name: str, value: float) -> Path:
        tensor = numpy_helper.from_array(np.float32(value))
        return write(
            tmp_path / name, [helper.make_node("Constant", [], ["c"], value=tensor), node("Mul", "x c", "y")], {}
        )

    found = compare(with_node("a.onnx", 1.0), with_node("b.onnx", 2.0))
    assert (found.first.node.name, found.first.between) == ("Mul_y", ("Mul_y",))
    assert found.first.differences == ("constant c: it differs by up to 1, its largest value is 1",)


def test_a_wrong_constant_behind_an_identity_is_told_of_the_node_that_takes_it(compare, tmp_path) -> None:
    def shared(name: str, value: float) -> Path:
        nodes = [node("Identity", "v", "twin"), node("Mul", "x u", "a"), node("Add", "a twin", "y")]
        return write(tmp_path / name, nodes, {"v": value, "u": 1.0})

    first = compare(shared("a.onnx", 1.0), shared("b.onnx", 2.0)).first
    assert (first.node.name, first.between, tuple(first.inputs)) == ("Add_y", ("Add_y",), ("a",))
    assert first.differences == ("constant twin: it differs by up to 1, its largest value is 1",)


def test_an_attribute_that_differs_is_told(compare, tmp_path) -> None:
    one = write(tmp_path / "a.onnx", [node("LeakyRelu", "x", "y", alpha=0.5)], {})
    other = write(tmp_path / "b.onnx", [node("LeakyRelu", "x", "y")], {})
    assert compare(one, other).first.differences == ("attribute alpha: 0.5 and its default",)


def test_what_subgraphs_take_from_outside_counts_as_an_input(compare, tmp_path) -> None:
    def branching(name: str, value: float) -> Path:
        def branch(op: str) -> onnx.GraphProto:
            out = helper.make_tensor_value_info(op, TensorProto.FLOAT, None)
            return helper.make_graph([helper.make_node(op, ["a"], [op])], op, [], [out])

        condition = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True)))
        choice = helper.make_node("If", ["c"], ["b"], "If_b", then_branch=branch("Relu"), else_branch=branch("Neg"))
        nodes = [condition, node("Add", "x v", "a"), choice, node("Mul", "b u", "y")]
        return write(tmp_path / name, nodes, {"v": 1.0, "u": value})

    found = compare(branching("a.onnx", 1.0), branching("b.onnx", 2.0))
    assert found.first.node.name == "Mul_y"
    wrong = branching("c.onnx", 1.0)
    model = onnx.load(wrong)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float32(9), "v"))
    onnx.save(model, wrong)
    assert compare(branching("a.onnx", 1.0), wrong).first.node.name == "Add_a"


def test_external_weights_are_compared_and_replayed(compare, tmp_path) -> None:
    paths = []
    for name, value in (("a", 1.0), ("b", 2.0)):
        path = write(tmp_path / f"{name}.onnx", CHAIN, CONSTANTS | {"u": np.full(3, value)})
        model = onnx.load(path)
        path.unlink()
        onnx.save(model, path, save_as_external_data=True, location=f"{name}.data", size_threshold=0)
        paths.append(path)
    for runtime in runtimes.RUNTIMES:
        found = compare(*paths, runtime=runtime)
        assert found.first.node.name == "Mul_y"
        assert not any(tensor.external_data for tensor in found.first.replay.models[0].graph.initializer)


def test_a_fault_seen_through_an_optimised_graph_is_replayed_from_it(compare, tmp_path) -> None:
    one = write(tmp_path / "a.onnx", CHAIN, CONSTANTS)
    other = write(tmp_path / "b.onnx", CHAIN, CONSTANTS | {"v": 2.0})
    found = compare(one, other, runtime=runtimes.OPTIMISED)
    assert "Add_shifted" in found.first.between
    assert found.first.diverges_alone

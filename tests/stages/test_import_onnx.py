import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from runner.core import FREE, ExportError, Samples, TensorSpec, Weights, sha256_of
from runner.data import Normalisation, Row, predictions, storage
from runner.graph import running
from runner.stages.import_onnx import ImportSpec, import_onnx
from runner.stages.onnx_reference import onnx_reference
from runner.stages.reference import ComputedSpec


@pytest.fixture
def weights(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "two"], ["double"]), helper.make_node("Relu", ["double"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    helper.set_model_props(made, {"character": "a\nb"})
    path = tmp_path / "given.onnx"
    onnx.save(made, path)
    return Weights(path, sha256_of(path), "file")


def imported(weights, out, shape=(1, 4, 6), outputs=("y",), batch=None):
    out.mkdir()
    return import_onnx(ImportSpec((TensorSpec("x", "float32", shape),), outputs, batch), weights, out)


def test_a_model_is_described_by_what_it_computes(weights, tmp_path):
    model = imported(weights, tmp_path / "out")
    assert (model.opset, model.batch, model.outputs) == (12, None, (TensorSpec("y", "float32", (1, 4, 6)),))
    assert model.metadata == {"character": "a\nb"}


def test_it_is_cut_at_the_declared_outputs(weights, tmp_path):
    model = imported(weights, tmp_path / "out", outputs=("double",))
    assert [node.op_type for node in onnx.load(model.path).graph.node] == ["Mul"]


def test_free_sizes_stay_free(weights, tmp_path):
    model = imported(weights, tmp_path / "out", shape=(1, FREE, FREE))
    assert model.outputs[0].shape == (1, FREE, FREE)


@pytest.fixture(params=[12, 13])
def rows(request, tmp_path):
    """A file whose outputs have no batch axis: the indices of an image's values above 0, the values, and how many."""
    nodes = [
        helper.make_node("Relu", ["x"], ["above"]),
        helper.make_node("NonZero", ["above"], ["places"]),
        helper.make_node("Transpose", ["places"], ["indices"]),
        helper.make_node("GatherND", ["above", "indices"], ["values"]),
        helper.make_node("Size", ["values"], ["count"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 2, 2])],
        [
            helper.make_tensor_value_info("indices", TensorProto.INT64, ["n", 4]),
            helper.make_tensor_value_info("values", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
        ],
    )
    path = tmp_path / "rows.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", request.param)], ir_version=8), path)
    return Weights(path, sha256_of(path), "file")


def test_outputs_without_a_batch_axis_get_one_of_1_for_one_sample(rows, tmp_path):
    names = ("indices", "values", "count")
    model = imported(rows, tmp_path / "out", shape=(1, 2, 2), outputs=names, batch=1)
    assert [output.name for output in model.outputs] == list(names)
    found = running.run(model.path, {"x": np.array([[[[0, 3], [2, -1]]]], np.float32)})
    assert [array.tolist() for array in found] == [[[[0, 0, 0, 1], [0, 0, 1, 0]]], [[3.0, 2.0]], [2]]


def test_outputs_without_a_batch_axis_are_answered_with_the_batch_that_runs(weights, tmp_path):
    given = onnx.load(weights.path)
    given.graph.node.append(helper.make_node("Shape", ["y"], ["sizes"]))
    given.graph.output.append(helper.make_tensor_value_info("sizes", TensorProto.INT64, [4]))
    onnx.save(given, weights.path)
    with pytest.raises(ExportError, match="for 2 samples the output sizes") as error:
        imported(weights, tmp_path / "out", outputs=("sizes",))
    assert "runs with that and batch=1" in error.value.fix


def test_a_file_that_is_no_model_is_told(tmp_path):
    path = tmp_path / "given.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ExportError, match=r"given\.onnx is no ONNX model"):
        imported(Weights(path, "0", "file"), tmp_path / "out")


def test_its_reference_is_the_model_itself_without_optimisation(weights, tmp_path):
    model = imported(weights, tmp_path / "out", shape=(1, 2, 2))
    folder = tmp_path / "samples"
    folder.mkdir()
    values = np.arange(-6, 6, dtype=np.float32).reshape(3, 1, 2, 2)
    np.save(folder / "x.npy", values)
    samples: Samples = storage.finish(folder, model.inputs, [Row(id=name) for name in "abc"])
    (tmp_path / "reference").mkdir()
    spec = ComputedSpec(outputs=("y",), normalisation=Normalisation(1.0, (0.0,), (1.0,)), samples=None)
    written = onnx_reference(spec, model, samples, tmp_path / "reference")
    (chunk,) = predictions.iterate(written)
    np.testing.assert_array_equal(chunk["y"], np.maximum(2 * values, 0))

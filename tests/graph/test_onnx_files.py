"""ONNX files of strangers: weights in other files may only lie beside the model."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runner.core import ExportError, RunnerError, TensorSpec
from runner.debug import runtimes
from runner.graph import onnx_files, running


def external(name: str, location: str) -> TensorProto:
    """A weight of four floats in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": "0", "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def value(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def as_initializer(location: str) -> onnx.GraphProto:
    node = helper.make_node("Add", ["x", "w"], ["y"])
    return helper.make_graph([node], "g", [value("x", ["n", 4])], [value("y", ["n", 4])], [external("w", location)])


def as_constant(location: str) -> onnx.GraphProto:
    nodes = [helper.make_node("Constant", [], ["w"]), helper.make_node("Add", ["x", "w"], ["y"])]
    nodes[0].attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.zeros(4, np.float32))))
    nodes[0].attribute[0].t.CopyFrom(external("w", location))
    return helper.make_graph(nodes, "g", [value("x", ["n", 4])], [value("y", ["n", 4])])


def in_a_branch(location: str) -> onnx.GraphProto:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["z"])], "branch", [], [value("z", [4])], [external("w", location)]
    )
    nodes = [helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)]
    nodes += [helper.make_node("Add", ["x", "z"], ["y"])]
    condition = numpy_helper.from_array(np.array(True), "c")
    return helper.make_graph(nodes, "g", [value("x", ["n", 4])], [value("y", ["n", 4])], [condition])


KINDS = [as_initializer, as_constant, in_a_branch]


def save(graph: onnx.GraphProto, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    return tmp_path / "secret"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("location", ["../secret", "{}", "sub/../../secret", "link", "folder/secret", ".", "", "a\0b"])
def test_weights_from_elsewhere_are_refused(kind, location: str, secret: Path, tmp_path: Path) -> None:
    path = save(kind(location.format(secret)), tmp_path / "model")
    (tmp_path / "model" / "sub").mkdir()
    (tmp_path / "model" / "link").symlink_to(secret)
    (tmp_path / "model" / "folder").symlink_to(tmp_path)
    for read in (onnx_files.load, onnx_files.load_without_data, runtimes.read):
        with pytest.raises(ExportError, match="not in its own folder"):
            read(path)
    with pytest.raises(ExportError, match="not in its own folder"):
        running.run(path, {"x": np.zeros((1, 4), np.float32)})


@pytest.mark.parametrize("location", ["weights", "sub/weights", "./weights"])
def test_weights_beside_the_model_are_read(location: str, secret: Path, tmp_path: Path) -> None:
    path = save(as_initializer(location), tmp_path / "model")
    (tmp_path / "model" / "sub").mkdir()
    for place in ("weights", "sub/weights"):
        (tmp_path / "model" / place).write_bytes(secret.read_bytes())
    weights = onnx_files.load(path).graph.initializer[0]
    np.testing.assert_array_equal(numpy_helper.to_array(weights), np.arange(4, dtype=np.float32))


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_weights_that_are_missing_or_too_short_are_told(content: bytes | None, tmp_path: Path) -> None:
    path = save(as_initializer("weights"), tmp_path / "model")
    if content is not None:
        (tmp_path / "model" / "weights").write_bytes(content)
    with pytest.raises(RunnerError):
        onnx_files.load(path)


@pytest.mark.parametrize("content", [b"no model", b"\xff" * 100])
def test_a_file_that_is_no_model_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ExportError, match="no ONNX model"):
        onnx_files.load(tmp_path / "a.onnx")


def test_a_location_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = save(as_initializer("weights"), tmp_path / "model")
    path.write_bytes(path.read_bytes().replace(b"weights", b"we\xffghts"))
    with pytest.raises(ExportError):
        onnx_files.load(path)


def test_too_many_open_files_are_not_the_models_fault(tmp_path: Path) -> None:
    path = save(as_initializer("weights"), tmp_path)
    (tmp_path / "weights").write_bytes(bytes(16))
    onnx_files.load(path)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            onnx_files.load(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None), "of sequence type, and no tensor"),
        (helper.make_tensor_value_info("y", TensorProto.STRING, ["n", 4]), "of text"),
        (helper.make_tensor_value_info("y", TensorProto.FLOAT8E4M3FN, ["n", 4]), "of float8_e4m3fn"),
    ],
    ids=["sequence", "text", "float8"],
)
def test_an_output_that_is_not_of_numbers_is_told(output: onnx.ValueInfoProto, told: str, tmp_path: Path) -> None:
    to = output.type.tensor_type.elem_type
    node = helper.make_node("Cast", ["x"], ["y"], to=to) if to else helper.make_node("SequenceConstruct", ["x"], ["y"])
    graph = helper.make_graph([node], "g", [value("x", ["n", 4])], [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    with pytest.raises(ExportError, match=f"the output y of the ONNX model is {told}"):
        onnx_files.check(model, (TensorSpec("x", "float32", (4,)),), ("y",), 19, None)

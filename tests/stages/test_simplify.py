"""A small graph with something to fold, through onnxsim; its values are compared in ONNX Runtime."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import onnxsim
import pytest
from onnx import TensorProto, helper, numpy_helper

from runner.config import permissions
from runner.core.artifacts import OnnxModel, TensorSpec
from runner.core.errors import ConfigError, ExportError, HookError
from runner.stages.simplify import SimplifySpec, simplify

Surgery = Callable[[onnx.ModelProto], object]


OUTPUTS = (TensorSpec("y", "float32", (4,)),)


def written(folder: Path, batch: int | None = None) -> OnnxModel:
    """x [N, 2, 3] -> flatten by the run-time shape of x -> [N, 6] -> times weights -> y [N, 4]."""
    axis = "batch" if batch is None else batch
    weights = np.random.default_rng(1).standard_normal((6, 4), dtype=np.float32)
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["count"]),
        helper.make_node("Concat", ["count", "minus_one"], ["flat_shape"], axis=0),
        helper.make_node("Reshape", ["x", "flat_shape"], ["flat"]),
        helper.make_node("Identity", ["flat"], ["same"]),
        helper.make_node("MatMul", ["same", "weights"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [axis, 2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [axis, 4])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([0]), "zero"),
            numpy_helper.from_array(np.array([-1]), "minus_one"),
        ],
    )
    path = folder / "exported.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7), path)
    return OnnxModel(
        path=path, sha256="", opset=11, batch=batch, inputs=(TensorSpec("x", "float32", (2, 3)),), outputs=OUTPUTS
    )


def run(path: Path, count: int) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((count, 2, 3), dtype=np.float32)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def simplified(folder: Path, spec: SimplifySpec, batch: int | None = None) -> OnnxModel:
    (folder / "out").mkdir()
    return simplify(spec, written(folder, batch), folder / "out")


def input_axes(model: OnnxModel) -> list[int | str]:
    axes = onnx.load(model.path).graph.input[0].type.tensor_type.shape.dim
    return [axis.dim_param or axis.dim_value for axis in axes]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_batch_is_written_in(tmp_path: Path, batch: int) -> None:
    model = simplified(tmp_path, SimplifySpec(True, batch, ()))
    output = onnx.load(model.path).graph.output[0].type.tensor_type.shape.dim
    assert input_axes(model) == [batch, 2, 3]
    assert [axis.dim_value for axis in output] == [batch, 4]
    assert model.batch == batch


def test_a_free_batch_stays_free(tmp_path: Path) -> None:
    model = simplified(tmp_path, SimplifySpec(True, None, ()))
    assert input_axes(model) == ["batch", 2, 3]
    assert model.batch is None
    assert [run(model.path, count).shape for count in (1, 7)] == [(1, 4), (7, 4)]


@pytest.mark.parametrize("batch", [None, 3])
def test_values_stay(tmp_path: Path, batch: int | None) -> None:
    model = simplified(tmp_path, SimplifySpec(True, batch, ()))
    np.testing.assert_allclose(run(model.path, 3), run(tmp_path / "exported.onnx", 3), rtol=1e-5, atol=1e-6)


def test_there_are_fewer_nodes(tmp_path: Path) -> None:
    model = simplified(tmp_path, SimplifySpec(True, 2, ()))
    assert len(onnx.load(model.path).graph.node) <= 2


def test_the_artifact_describes_the_model(tmp_path: Path) -> None:
    model = simplified(tmp_path, SimplifySpec(True, 2, ()))
    assert model.path == tmp_path / "out" / "model.onnx"
    assert (model.opset, model.outputs, model.inputs) == (11, OUTPUTS, (TensorSpec("x", "float32", (2, 3)),))


@pytest.mark.parametrize("asked", [None, 4])
def test_a_fixed_batch_stays(tmp_path: Path, asked: int | None) -> None:
    model = simplified(tmp_path, SimplifySpec(True, asked, ()), batch=4)
    assert model.batch == 4
    assert input_axes(model) == [4, 2, 3]


def test_a_fixed_batch_is_not_changed(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"batches of 4 and cannot become one for 8") as caught:
        simplified(tmp_path, SimplifySpec(True, 8, ()), batch=4)
    assert "fixed_batch=false" in caught.value.fix


def scaled(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model of the same shapes that computes something else."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    weights = next(tensor for tensor in changed.graph.initializer if tensor.dims == [6, 4])
    weights.CopyFrom(numpy_helper.from_array(1.01 * numpy_helper.to_array(weights), weights.name))
    return changed


def renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    changed.graph.node[-1].output[0] = changed.graph.output[0].name = "z"
    return changed


def marked(model: onnx.ModelProto) -> onnx.ModelProto:
    model.doc_string += "marked "
    return model


def nothing(model: onnx.ModelProto) -> None:
    """A surgery that forgets to return."""


@pytest.fixture
def surgeries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("surgeries")
    for surgery in (scaled, renamed, marked, nothing):
        setattr(module, surgery.__name__, surgery)
    monkeypatch.setitem(sys.modules, "surgeries", module)
    permissions.allow(["surgeries", __name__])
    yield
    permissions.allow([])


def test_surgeries_are_applied_in_order(tmp_path: Path, surgeries: None) -> None:
    model = simplified(tmp_path, SimplifySpec(True, 2, ("surgeries.marked", "surgeries.marked")))
    assert onnx.load(model.path).doc_string.endswith("marked marked ")


def test_a_surgery_that_changes_values_is_refused(tmp_path: Path, surgeries: None) -> None:
    with pytest.raises(ExportError, match=r"surgeries\.scaled changed what .* its output y"):
        simplified(tmp_path, SimplifySpec(True, 2, ("surgeries.scaled",)))


def test_a_surgery_that_changes_names_is_refused(tmp_path: Path, surgeries: None) -> None:
    with pytest.raises(ExportError, match=r"outputs \['z'\], not \['y'\]"):
        simplified(tmp_path, SimplifySpec(True, 2, ("surgeries.renamed",)))


def test_a_surgery_that_returns_nothing_is_told(tmp_path: Path, surgeries: None) -> None:
    with pytest.raises(HookError, match=r"nothing returned a NoneType, not ModelProto"):
        simplified(tmp_path, SimplifySpec(True, 2, ("surgeries.nothing",)))


def test_a_surgery_that_does_not_exist_is_told(tmp_path: Path, surgeries: None) -> None:
    with pytest.raises(ConfigError, match="no callable 'absent'"):
        simplified(tmp_path, SimplifySpec(True, 2, ("surgeries.absent",)))


def test_onnxsims_own_ok_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxsim, "simplify", lambda model, **_: (scaled(model), True))
    with pytest.raises(ExportError, match="onnxsim changed what") as caught:
        simplified(tmp_path, SimplifySpec(True, None, ()))
    assert "model.simplify.enabled=false" in caught.value.fix


def test_where_fusing_breaks_the_model_onnxsim_only_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = onnxsim.simplify

    def breaking(model: onnx.ModelProto, perform_optimization: bool = True, **more: object) -> object:
        folded, ok = real(model, perform_optimization=perform_optimization, **more)
        return (scaled(folded) if perform_optimization else folded), ok

    monkeypatch.setattr(onnxsim, "simplify", breaking)
    model = simplified(tmp_path, SimplifySpec(True, None, ()))
    np.testing.assert_allclose(run(model.path, 2), run(tmp_path / "exported.onnx", 2), atol=1e-5)
    assert "onnxsim changed what" in caplog.text


def test_a_failure_of_onnxsim_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(model: onnx.ModelProto, **_: object) -> tuple[onnx.ModelProto, bool]:
        raise RuntimeError("no such shape")

    monkeypatch.setattr(onnxsim, "simplify", failing)
    with pytest.raises(ExportError, match=r"onnxsim fails on .*no such shape"):
        simplified(tmp_path, SimplifySpec(True, 2, ()))


def test_what_onnxsim_prints_goes_to_the_log(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def chatting(model: onnx.ModelProto, **_: object) -> tuple[onnx.ModelProto, bool]:
        os.write(1, b"to standard output\n")
        os.write(2, b"to standard error\n")
        return model, True

    monkeypatch.setattr(onnxsim, "simplify", chatting)
    with caplog.at_level(logging.DEBUG, "runner.stages.simplify"):
        simplified(tmp_path, SimplifySpec(True, None, ()))
    assert capfd.readouterr() == ("", "")
    assert [record.message for record in caplog.records] == [
        "onnxsim: to standard output",
        "onnxsim: to standard error",
    ]


def test_without_onnxsim_and_surgery_the_model_is_passed_on(tmp_path) -> None:
    folder = tmp_path / "disabled"
    folder.mkdir()
    given = written(tmp_path, None)
    assert simplify(SimplifySpec(False, None, ()), given, folder) == given
    assert list(folder.iterdir()) == []

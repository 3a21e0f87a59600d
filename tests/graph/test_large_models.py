"""Models whose weights are too large for one file: beside it, counted in its digest, and usable everywhere."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from runner.graph import external_data, onnx_files, running

X = np.ones((2, 512), np.float32)


@pytest.fixture(autouse=True)
def a_small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_files, "LARGEST_BYTES", 1000)


def model(scale: float = 1.0) -> onnx.ModelProto:
    """y = x + w, w of 512 floats."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 512]) for name in ("x", "y")]
    weights = numpy_helper.from_array(np.full(512, scale, np.float32), "w")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def test_its_weights_are_beside_it_and_it_runs(tmp_path: Path) -> None:
    onnx_files.save(model(), tmp_path / "m.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"m.onnx", "m.onnx.data"}
    assert (tmp_path / "m.onnx").stat().st_size < 1000
    assert running.run(tmp_path / "m.onnx", {"x": X})[0].max() == 2.0


def test_saving_it_leaves_it_whole(tmp_path: Path) -> None:
    whole = model()
    onnx_files.save(whole, tmp_path / "m.onnx")
    assert numpy_helper.to_array(whole.graph.initializer[0]).max() == 1.0
    assert not whole.graph.initializer[0].external_data


def test_saving_another_over_it_leaves_nothing_of_it(tmp_path: Path) -> None:
    for scale in (1.0, 3.0):
        onnx_files.save(model(scale), tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx.data").stat().st_size == 512 * 4
    assert running.run(tmp_path / "m.onnx", {"x": X})[0].max() == 4.0


def test_its_weights_count_in_its_digest(tmp_path: Path) -> None:
    digests = set()
    for scale in (1.0, 3.0):
        onnx_files.save(model(scale), tmp_path / "m.onnx")
        digests.add(external_data.digest(tmp_path / "m.onnx"))
    assert len(digests) == 2


def test_it_is_checked_and_run_without_being_saved_first() -> None:
    onnx_files.check(model(), (onnx_files.TensorSpec("x", "float32", (512,)),), ["y"], 11, None)
    assert running.run(model(), {"x": X})[0].max() == 2.0


def test_a_copy_has_its_weights(tmp_path: Path) -> None:
    onnx_files.save(model(), tmp_path / "m.onnx")
    (tmp_path / "there").mkdir()
    onnx_files.copy(tmp_path / "m.onnx", tmp_path / "there" / "n.onnx")
    assert running.run(tmp_path / "there" / "n.onnx", {"x": X})[0].max() == 2.0


def test_weights_in_a_file_for_each_tensor_are_gathered(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model(), path, save_as_external_data=True, all_tensors_to_one_file=False)
    onnx_files.gather_data(path)
    assert {each.name for each in tmp_path.iterdir()} == {"m.onnx", "m.onnx.data"}
    assert running.run(path, {"x": X})[0].max() == 2.0


def test_a_whole_run_of_one_and_another_of_the_same(run_tiny: Callable[..., Any], tiny_zoo: Path) -> None:
    run_tiny("weights=random")
    first = json.loads((tiny_zoo / "out" / "result.json").read_text())
    assert Path(first["artifacts"]["onnx"]).with_name("model.onnx.data").exists()
    assert first["fidelity"]["cosine"] > 0.999
    run_tiny("weights=random")
    again = json.loads((tiny_zoo / "out" / "result.json").read_text())
    assert {stage["status"] for stage in again["stages"] if stage["name"] != "benchmark"} <= {"reused", "skipped"}

"""An ONNX model from outside through whole runs, as a user types them."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

MODEL = """
name: outside
task: image_classification
reference: tests
onnx:
  file: outside.onnx
  made_by: a test
inputs:
  - {name: x, shape: [3, 8, 8]}
outputs: [scores]
preprocess: {resize: 8, crop: 8, scale: 0.00392156862745098}
"""
ARGUMENTS = (
    "model=outside",
    "dataset=synthetic_images",
    "dataset.reader.count=4",
    "dataset.reader.classes=5",
    "hydra.run.dir=out",
    "stages=[score]",
)


def network(batch: object = "n") -> onnx.ModelProto:
    """A mean over each channel, five scores of it, and their largest, which nobody asks for."""
    weights = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["features"]),
            helper.make_node("MatMul", ["features", "weights"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["best"], axis=1),
        ],
        "outside",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("best", TensorProto.INT64, [batch, 1])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


@pytest.fixture
def run(tmp_path, monkeypatch, run_main):
    monkeypatch.chdir(tmp_path)
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/outside.yaml").write_text(MODEL)
    Path("checkpoints").mkdir()
    onnx.save(network(), "checkpoints/outside.onnx")
    return lambda *more, check=0: run_main("--config-dir", "conf", *ARGUMENTS, *more, check=check)


def result():
    return json.loads(Path("out/result.json").read_text())


def test_it_is_cut_scored_and_compared_with_itself_without_optimisation(run):
    done = run("batch=2")
    assert "compared with ONNX Runtime without optimisation" in done.stdout
    fidelity = result()["fidelity"]
    assert fidelity["reference"] == "ONNX Runtime without optimisation"
    assert fidelity["cosine"] == pytest.approx(1.0)
    assert list(fidelity["per_output"]) == ["scores"]
    assert (
        fidelity["accuracy"]
        == fidelity["tool_accuracy"]
        == {name: value for name, value in result()["accuracy"].items() if name != "samples"}
    )


def test_a_second_run_makes_nothing_anew(run):
    run()
    assert " ran " not in run().stdout


def test_another_file_is_given_by_weights(run):
    Path("checkpoints/outside.onnx").rename("elsewhere.onnx")
    run("weights=elsewhere.onnx")
    assert result()["weights"]["path"].endswith("elsewhere.onnx")


def test_integer_outputs_are_compared_by_the_share_that_is_equal(run):
    run("model.outputs=[scores,best]")
    assert result()["fidelity"]["per_output"]["best"]["equal"] == 100.0
    assert "fidelity.best.equal" in {gate["name"] for gate in result()["gates"]}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("weights=random",), "is an ONNX file with weights of its own"),
        (("model.outputs=[score]",), "has no output 'score'"),
        (("model.inputs.0.name=image",), "has no input 'image'"),
        (("model.inputs.0.shape=[3,9,9]",), "not float32 ['batch', 3, 9, 9]"),
        (("weights=nowhere.onnx",), "nowhere.onnx does not exist"),
        (("+model.network._target_=torchvision.models.resnet18",), "model.onnx is given beside model.network"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_runs(run, arguments, told):
    done = run(*arguments, check=1)
    assert told in done.stdout + done.stderr
    assert not list(Path("outputs/cache").glob("export/*"))


def test_a_fixed_batch_is_told_and_can_be_asked_for(run):
    onnx.save(network(batch=2), "checkpoints/outside.onnx")
    assert "it is fixed to a batch of 2" in run(check=1).stderr
    run("batch=2", "model.export.fixed_batch=true")
    assert result()["batch"] == 2


def save_with_data(location="w.data"):
    onnx.save(network(), "checkpoints/outside.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    if location != "w.data":
        model = onnx.load("checkpoints/outside.onnx", load_external_data=False)
        model.graph.initializer[0].external_data[0].value = location
        onnx.save(model, "checkpoints/outside.onnx")


def test_weights_in_a_file_beside_it_are_taken(run):
    run("hydra.run.dir=whole")
    save_with_data()
    run()
    whole = json.loads(Path("whole/result.json").read_text())
    assert result()["accuracy"] == whole["accuracy"]
    assert result()["weights"]["sha256"] != whole["weights"]["sha256"]


def test_a_changed_file_beside_it_makes_everything_anew(run):
    save_with_data()
    run()
    before = result()["weights"]["sha256"]
    Path("checkpoints/w.data").write_bytes(np.zeros((3, 5), np.float32).tobytes())
    run()
    assert result()["weights"]["sha256"] != before
    assert {stage["status"] for stage in result()["stages"] if stage["name"] in ("export", "infer")} == {"ran"}


@pytest.mark.parametrize(
    ("location", "fault"),
    [
        ("../w.data", "is not in its own folder"),
        ("/etc/hostname", "is not in its own folder"),
        ("link", "is reached by a link"),
        ("fifo", "is no regular file"),
        ("nothing", "is missing"),
    ],
)
def test_weights_that_are_not_in_a_file_beside_it_are_told_before_anything_runs(run, location, fault):
    save_with_data(location)
    Path("w.data").write_bytes(bytes(60))
    Path("checkpoints/link").symlink_to("w.data")
    os.mkfifo("checkpoints/fifo")
    assert f"wants weights from '{location}', which {fault}" in " ".join(run(check=1).stderr.split())
    assert not list(Path("outputs/cache").glob("export/*"))


def test_a_file_that_an_installed_package_ships_is_found(run, tmp_path, monkeypatch):
    package = tmp_path / "shipping_package"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('is not imported')")
    Path("checkpoints/outside.onnx").rename(package / "models" / "outside.onnx")
    monkeypatch.syspath_prepend(tmp_path)
    run("+model.onnx.package=shipping_package", "model.onnx.file=models/outside.onnx")
    assert result()["weights"]["path"] == str(package / "models" / "outside.onnx")


def test_a_package_that_is_not_installed_is_told(run):
    assert "'no_such_package', which is not installed" in run("+model.onnx.package=no_such_package", check=1).stderr

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from runner.debug import __main__ as debug
from runner.stages import order
from runner.store import inventory

ALLOWED = "allow=[planted_surgery]"
SMALL = (
    "model=squeezenet1_0",
    "weights=random",
    "model.inputs=[{name: image, shape: [3, 64, 64]}]",
)
MIDDLE = "/features/features.7/expand3x3/Conv"
STANDINS = Path(__file__).parents[1] / "standins"
SURGERY = """
import onnx
from onnx import numpy_helper


def nothing(model: onnx.ModelProto) -> onnx.ModelProto:
    return model


def corrupting(model: onnx.ModelProto) -> onnx.ModelProto:
    node = next(node for node in model.graph.node if node.name == "{node}")
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
    values = numpy_helper.to_array(weight).copy()
    values.flat[:50] = 5
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    return model


def failing(model: onnx.ModelProto) -> onnx.ModelProto:
    raise ValueError("a bug of the hook")
"""


@dataclass(frozen=True)
class Told:
    """What a command line did."""

    out: str
    err: str
    report: dict


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """torchvision's SqueezeNet as the export stage writes it, in a store that a later run reuses."""
    folder = tmp_path_factory.mktemp("exported")
    arguments = [*SMALL, f"cache_dir={folder / 'cache'}", "stages=[export]", f"--out={folder / 'out'}"]
    assert debug.main(arguments) == 0
    report = json.loads((folder / "out" / "report.json").read_text())
    return Path(report["steps"][0]["model"])


@pytest.fixture
def run(tmp_path, monkeypatch, capsys) -> Callable[..., Told]:
    """`python -m runner.debug ...` in an empty folder; fails on another exit code or a traceback."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, check: int) -> Told:
        code = debug.main([*map(str, arguments), "--out=out"])
        out, err = capsys.readouterr()
        assert code == check, out + err
        assert "Traceback" not in out + err
        report = tmp_path / "out" / "report.json"
        return Told(out, err, json.loads(report.read_text()) if report.exists() else {})

    return call


@pytest.fixture
def store(exported) -> str:
    return f"cache_dir={exported.parents[2]}"


@pytest.fixture
def changed(exported, tmp_path) -> Callable[[Callable[[onnx.GraphProto], None]], Path]:
    """A copy of the exported model after a change of its graph."""

    def change(edit: Callable[[onnx.GraphProto], None]) -> Path:
        model = onnx.load(exported)
        edit(model.graph)
        onnx.save(model, tmp_path / "changed.onnx")
        return tmp_path / "changed.onnx"

    return change


def plant(value: float, node_name: str = MIDDLE) -> Callable[[onnx.GraphProto], None]:
    """Put `value` in the place of a few of a node's weights."""

    def edit(graph: onnx.GraphProto) -> None:
        node = next(node for node in graph.node if node.name == node_name)
        weight = next(tensor for tensor in graph.initializer if tensor.name == node.input[1])
        values = numpy_helper.to_array(weight).copy()
        values.flat[:50] = value
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))

    return edit


def test_the_node_with_a_wrong_constant_is_named(run, exported, changed) -> None:
    told = run("--onnx", exported, changed(plant(5.0)), check=2)
    first = told.report["layers"][0]["first"]
    assert (first["node"]["name"], first["node"]["op"], first["between"]) == (MIDDLE, "Conv", [MIDDLE])
    assert all(close["max_abs"] == 0 for close in first["inputs"].values())
    assert first["output"]["max_abs"] > 1
    assert [line.split(":")[0] for line in first["differences"]] == ["constant features.7.expand3x3.weight"]
    assert f"first node that diverges: {MIDDLE} (Conv)" in told.out


def test_the_saved_node_replays_the_difference(run, exported, changed, tmp_path) -> None:
    first = run("--onnx", exported, changed(plant(5.0)), check=2).report["layers"][0]["first"]
    replay = first["replay"]
    files = " ".join(str(tmp_path / "out" / f"replay_{which}.onnx") for which in "ab")
    assert replay["command"].startswith(f"python -m runner.debug --onnx {files}")
    for path in replay["models"]:
        operators = [node.op_type for node in onnx.load(path).graph.node]
        assert operators[-1] == "Conv"
        assert set(operators[:-1]) <= {"Identity"}  # of the bias: torch writes equal parameters once
    again = run(*replay["command"].split()[3:], check=2).report["steps"][0]["outputs"][first["tensor"]]
    assert again["max_abs"] == pytest.approx(first["output"]["max_abs"])
    with np.load(replay["outputs"]) as outputs:
        assert np.abs(outputs["a"] - outputs["b"]).max() == pytest.approx(first["output"]["max_abs"])


def test_a_fault_that_fades_before_the_outputs_is_found_too(run, exported, changed) -> None:
    told = run("--onnx", exported, changed(plant(0.02)), "--rtol=0.14", check=2)
    assert not told.report["steps"][0]["parts"]
    assert told.report["layers"][0]["first"]["node"]["name"] == MIDDLE


def test_nan_in_one_model_only_parts(run, exported, changed) -> None:
    told = run("--onnx", exported, changed(plant(float("nan"))), check=2)
    assert told.report["layers"][0]["first"]["node"]["name"] == MIDDLE
    assert "NaN or infinite are" in told.out


def test_equal_models_agree(run, exported, changed) -> None:
    told = run("--onnx", exported, changed(lambda graph: None), check=0)
    assert (told.report["status"], told.report["layers"][0]["parting"]) == ("agree", [])
    assert "no output diverges" in told.out


@pytest.mark.parametrize("runtime", ["onnxruntime", "onnxruntime-fused", "reference"])
def test_two_runtimes_agree_on_one_model(run, exported, runtime: str) -> None:
    told = run("--onnx", exported, f"--runtime={runtime}", check=0)
    assert told.report["layers"][0]["tensors"]


def test_a_renamed_output_is_an_error(run, exported, changed) -> None:
    def rename(graph: onnx.GraphProto) -> None:
        graph.node.append(onnx.helper.make_node("Identity", ["class"], ["score"]))
        graph.output[0].name = "score"

    assert "gives the outputs class; " in run("--onnx", exported, changed(rename), check=1).err


def test_other_inputs_are_an_error(run, exported, changed) -> None:
    def add(graph: onnx.GraphProto) -> None:
        graph.input.append(onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, [1]))

    assert "takes image float32 4-d, mask float32 1-d" in run("--onnx", exported, changed(add), check=1).err


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"picture": np.zeros((1, 3, 64, 64), np.float32)}, "holds picture"),
        ({"image": np.zeros((1, 3, 64, 64))}, "image is float64"),
        ({"image": np.zeros((1, 3, 32, 64), np.float32)}, "image is float32 [1, 3, 32, 64]"),
    ],
)
def test_inputs_that_do_not_fit_are_an_error(run, exported, tmp_path, arrays, told: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    assert told in run("--onnx", exported, exported, "--input=x.npz", check=1).err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give a run or ONNX files"),
        (("model=dqn", "--onnx", "a.onnx"), "not both"),
        (("--onnx", "a.onnx"), "--onnx names 1 file"),
        (("--onnx", "missing.onnx", "b.onnx"), "missing.onnx: No such file"),
        (("--onnx", "text.onnx", "text.onnx"), "text.onnx is no ONNX model"),
        (("--onnx", "empty.onnx", "empty.onnx"), "empty.onnx is no ONNX model"),
        (("--onnx", "/dev/zero", "/dev/zero"), "/dev/zero: it is not a regular file"),
        (("--onnx", "text.onnx", "text.onnx", "--input=real"), "--input=real needs a run's samples"),
        (("--onnx", "text.onnx", "--runtime=gpu"), "invalid choice"),
        (("model=dqn", "--runtime=reference"), "--runtime goes with --onnx"),
        (("model=dqn", "--rtol=-1"), "--rtol is -1"),
        (("model=dqn", "--no-such"), "unrecognized arguments"),
        (("model=no_such",), "there is no model=no_such"),
        (("model=dqn", "stages=[score]"), "stages is ['score']"),
        (("model=dqn", "soc=t4", "tool=onnxruntime", "weights=random"), "cannot be served by tool=onnxruntime"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(run, tmp_path, arguments, told: str) -> None:
    (tmp_path / "text.onnx").write_text("this is no model")
    (tmp_path / "empty.onnx").write_bytes(b"")
    assert told in run(*arguments, check=1).err


def test_the_steps_of_a_run_agree(run, store) -> None:
    told = run(*SMALL, store, "batch=2", "--layers", check=0)
    steps = told.report["steps"]
    assert [step["name"] for step in steps] == ["export", "simplify", "compile"]
    assert [step["against"] for step in steps] == ["pytorch", "export", "simplify"]
    assert steps[0]["outputs"]["class"]["shape"] == [2, 1000]
    assert [layers["step"] for layers in told.report["layers"]] == ["simplify", "compile"]
    assert "export     reused" in told.err


@pytest.fixture
def surgery(tmp_path, monkeypatch) -> None:
    (tmp_path / "planted_surgery.py").write_text(SURGERY.replace("{node}", MIDDLE))
    monkeypatch.syspath_prepend(tmp_path)


def test_a_surgery_that_the_stage_refuses_is_named_with_the_node(run, store, surgery) -> None:
    names = "model.surgery=[planted_surgery.nothing,planted_surgery.corrupting]"
    told = run(*SMALL, store, ALLOWED, names, check=2)
    assert told.report["first_parting_step"] == "simplify: planted_surgery.corrupting"
    assert told.report["layers"][0]["first"]["node"]["name"] == MIDDLE
    assert "planted_surgery.corrupting changed what" in told.report["error"]


def test_an_export_that_parts_tells_how_to_go_on(run, store, tmp_path) -> None:
    told = run(*SMALL, store, "stages=[export]", "--rtol=0", "--atol=0", check=2)
    assert told.report["first_parting_step"] == "export"
    assert f"--runtime=reference --input={tmp_path / 'out' / 'inputs.npz'}" in told.out


def test_a_hook_that_fails_is_told_without_a_traceback(run, store, surgery, tmp_path) -> None:
    told = run(*SMALL, store, ALLOWED, "model.surgery=[planted_surgery.failing]", check=1)
    assert "ValueError: a bug of the hook" in told.report["error"] and "planted_surgery.py:" in told.out
    assert "in failing" in (tmp_path / "out" / "run.log").read_text()


@pytest.fixture
def network(run, store, tiny_zoo, monkeypatch) -> Callable[..., Told]:
    """Compare the steps of the tiny network, whose method is `body`."""
    monkeypatch.syspath_prepend(tiny_zoo)
    for name in [name for name in sys.modules if name.split(".")[0] == "tiny_zoo"]:
        del sys.modules[name]

    def call(method: str, body: str, check: int) -> Told:
        source = f"from tiny_zoo.net import Tiny\n\n\nclass Net(Tiny):\n    def {method}:\n        {body}\n"
        (tiny_zoo / "tiny_zoo" / "hooks.py").write_text(source)
        zoo = ["--config-dir=conf", "allow=[tiny_zoo]", "model=tiny", "model.network._target_=tiny_zoo.hooks.Net"]
        return run(*zoo, store, "weights=random", "stages=[simplify]", check=check)

    return call


@pytest.mark.parametrize("method", ["__init__(self, classes=4)", "forward(self, image)"])
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import sys; sys.exit(2)", "SystemExit: 2"),
        ("import os; os._exit(2)", "os._exit(2)"),
        ("raise BaseException('odd')", "BaseException: odd"),
        ("raise type('Mine', (KeyboardInterrupt,), {})('stop')", "Mine: stop"),
    ],
)
def test_a_network_that_ends_the_program_is_named(method, body, told, network, tmp_path) -> None:
    err = network(method, body, check=1).err
    assert told in err and "hooks.py:" in err
    assert "hooks.py" in (tmp_path / "out" / "run.log").read_text()


def test_a_network_that_changes_the_working_folder_does_not_move_the_report(network, tmp_path, monkeypatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    body = f"import os; os.chdir({str(tmp_path / 'elsewhere')!r}); return super().forward(image)"
    assert network("forward(self, image)", body, check=0).report["status"] == "agree"
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_card_in_float16_is_held_to_the_models_cosine(run, store, card, tmp_path) -> None:
    compiled = run(*SMALL, store, "soc=310P3", "batch=2", check=0).report["steps"][-1]
    assert (compiled["name"], compiled["limit"], compiled["model"]) == ("compile", "cosine >= 0.999", None)
    assert compiled["outputs"]["class"]["max_abs"] > 1e-5
    assert (tmp_path / "out" / "ais_bench.log").exists()


def test_a_card_that_parts_is_named_without_its_layers(run, store, card) -> None:
    told = run(*SMALL, store, "soc=310P3", "model.fidelity.cosine=1.0", check=2)
    assert told.report["first_parting_step"] == "compile"
    assert "cannot be seen: only outputs are compared" in told.out


@pytest.mark.parametrize("source", ["random", "real"])
def test_a_card_that_normalises_gets_pictures(run, store, card, source: str) -> None:
    pictures = ["dataset=synthetic_images", "dataset.reader.count=2", "limit=2"]
    sizes = ["model.preprocess.resize=64", "model.preprocess.crop=64", "model.preprocess.std=[60,60,60]"]
    aipp = [*sizes, *pictures, "model.aipp=true", f"--input={source}"]
    run(*SMALL, store, "soc=310P3", "batch=2", *aipp, check=0)


def test_without_the_card_what_is_missing_is_told(run, store) -> None:
    assert "atc" in run(*SMALL, store, "soc=310P3", check=1).err


def test_what_it_makes_is_listed_under_its_model(run, tmp_path) -> None:
    run(*SMALL, f"cache_dir={tmp_path / 'own'}", "stages=[export]", check=0)
    stored = inventory.take(tmp_path / "own", order.STORED).artifacts
    assert {(artifact.stage, artifact.model) for artifact in stored} == {
        ("weights", "squeezenet1_0"),
        ("export", "squeezenet1_0"),
    }


@pytest.fixture
def outside(tmp_path) -> tuple[str, ...]:
    """A denoiser of free sizes as an ONNX file from outside, and the arguments that name it."""
    make = onnx.helper
    weight = numpy_helper.from_array(np.full((1, 1, 3, 3), 0.1, np.float32), "weight")
    nodes = [
        make.make_node("Conv", ["image", "weight"], ["smooth"], name="smooth", pads=[1, 1, 1, 1]),
        make.make_node("Relu", ["smooth"], ["out"], name="relu"),
    ]
    ends = [make.make_tensor_value_info(name, 1, ["n", 1, "height", "width"]) for name in ("image", "out")]
    model = make.make_model(
        make.make_graph(nodes, "net", ends[:1], ends[1:], [weight]),
        opset_imports=[make.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.save(model, tmp_path / "net.onnx")
    path = tmp_path / "mine" / "model" / "net.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("""
name: net
task: restoration
reference: by hand
defaults: [{override /dataset@_global_.dataset: synthetic_textures}]
onnx: {file: net.onnx}
inputs: [{name: image, shape: [1, null, null]}]
outputs: [out]
preprocess: {fit: none, channels: grey, scale: 0.00392156862745098}
decode: {_target_: runner.tasks.restoration.Picture}
""")
    return "--config-dir", str(tmp_path / "mine"), "model=net", f"weights={tmp_path / 'net.onnx'}", "limit=2"


@pytest.mark.parametrize("source", ["random", "real"])
def test_an_outside_model_is_compared_from_the_exported_step_on(run, outside, source: str) -> None:
    told = run(*outside, "batch=2", "--layers", f"--input={source}", check=0)
    assert [(step["name"], step["against"]) for step in told.report["steps"]][-1] == ("compile", "simplify")
    assert "pytorch" not in {step["against"] for step in told.report["steps"]}
    shape = {"random": [2, 1, 64, 64], "real": [2, 1, 64, 96]}[source]
    assert told.report["steps"][-1]["outputs"]["out"]["shape"] == shape


def test_an_outside_model_has_no_step_before_the_export(run, outside) -> None:
    assert "no PyTorch network to compare the exported model with" in run(*outside, "stages=[export]", check=1).err


def test_a_compiled_model_of_free_sizes_gets_inputs_of_the_first_samples_shape(run, outside, card) -> None:
    told = run(*outside, "soc=310P3", "batch=2", check=0)
    assert told.report["steps"][-1]["outputs"]["out"]["shape"] == [2, 1, 64, 96]


def test_the_outputs_of_a_detector_are_compared_as_they_are(run) -> None:
    sizes = ["model.inputs=[{name: image, shape: [3, 64, 64]}]", "weights=random", "stages=[simplify]"]
    told = run("model=yolov5n", *sizes, "--rtol=0.01", check=0)
    assert set(told.report["steps"][0]["outputs"]) == {"stride8", "stride16", "stride32"}

"""`python -m runner.new`: what it writes composes, and the command that it prints runs."""

import hashlib
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from omegaconf import OmegaConf

from runner.cli import Parser
from runner.config import compose, loading, permissions, schema
from runner.core.errors import ConfigError
from runner.data import Geometry, Normalisation
from runner.new import __main__ as new
from runner.new import drafts
from runner.pipeline.setup import Setup

NETWORKS = """
import torch
from torch import nn


class Fixed(nn.Module):
    def __init__(self, classes=5):
        super().__init__()
        self.features = nn.Conv2d(3, 2, 3)
        self.head = nn.Linear(2 * 26 * 26, classes)

    def forward(self, picture):
        return self.head(self.features(picture).flatten(1))


class Grey(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(1, 2, 3)
        self.head = nn.Linear(2 * 30 * 30, 5)

    def forward(self, picture):
        return self.head(self.features(picture).flatten(1))


class Holder(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)


class Flat(nn.Linear):
    def __init__(self):
        super().__init__(12, 3)


class Any(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 4, 3)


class Pooled(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 4, 3)

    def forward(self, picture):
        return super().forward(picture).mean((2, 3))


class Two(nn.Module):
    def forward(self, left, right, scale=1.0):
        return {"sum": left + right * scale, "difference": left - right}


class Named(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        return {"ids": super().forward(x).argmax(1)}


class Words(nn.Embedding):
    def __init__(self):
        super().__init__(10, 4)


class Broken(nn.Module):
    def __init__(self):
        raise RuntimeError("no file\\nof mine")


class Reduced(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        return super().forward(x).mean()


class Texts(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)

    def forward(self, x):
        return ["a", "b"]


def no_network():
    return 3


class Detector(nn.Module):
    def __init__(self, outputs=7):
        super().__init__()
        self.head = nn.Conv2d(3, outputs, 3, stride=16, padding=1)

    def forward(self, image):
        return self.head(image).flatten(2).sigmoid() * 50


class Heads(Detector):
    def forward(self, image):
        return self.head(image), self.head(image[:, :, ::2, ::2])


class Segmenter(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 5, 3, stride=2, padding=1))


class Denoiser(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 1, 3, padding=1))


class Reader(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 40, (24, 3), padding=(0, 1)), nn.Flatten(2))


class Finder(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 1, 3, padding=1), nn.Sigmoid())
"""


@pytest.fixture
def write(tmp_path, monkeypatch, capfd):
    """`python -m runner.new ...` in a folder with the package `nets`; what it prints."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "some.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    before = set(sys.modules)

    def run(*arguments: str, check: int = 0) -> str:
        code = new.main(arguments)
        done = capfd.readouterr()
        assert code == check, done.out + done.err
        return done.err if check else done.out

    yield run
    permissions.allow([])
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("nets", "fresh"):
            del sys.modules[name]


def command(printed: str) -> list[str]:
    """The arguments of the runner in the command that was printed."""
    (line,) = [line for line in printed.splitlines() if line.startswith("now: ")]
    words = shlex.split(line.removeprefix("now: "))
    assert words[:3] == ["python", "-m", "runner"]
    return words[3:]


def model(printed: str) -> schema.ModelConfig:
    return loading.load(compose.compose(command(printed))).model


def geometry(found: schema.ModelConfig) -> tuple[Geometry, Normalisation]:
    setup = Setup(schema.RunConfig(model=found))
    return setup.geometry, setup.normalisation


def test_a_network_of_pictures_is_looked_at_and_written_down(write) -> None:
    found = model(write("mine", "--network", "nets.some.Fixed"))
    assert [(tensor.name, tensor.shape) for tensor in found.inputs] == [("picture", [3, 28, 28])]
    assert (found.outputs, found.task, found.preprocess.crop) == (["class"], "image_classification", 28)


def test_a_network_of_grey_pictures_is_one_too(write, run_main) -> None:
    printed = write("mine", "--network", "nets.some.Grey")
    found = model(printed)
    assert (found.task, found.preprocess.fit, found.preprocess.channels) == ("image_classification", "stretch", "grey")
    assert found.preprocess.mean == [0.0]
    run_main(*command(printed), "stages=[score]", "hydra.run.dir=out")


def test_a_network_of_oblong_pictures_is_a_classifier_where_it_is_said(write, run_main) -> None:
    oblong = ("--network", "nets.some.Pooled", "--input", "3,20,30")
    assert model(write("mine", *oblong)).task == "unknown"
    printed = write("mine", *oblong, "--task", "image_classification", "--force")
    assert model(printed).preprocess.fit == "stretch"
    run_main(*command(printed), "stages=[score]", "hydra.run.dir=out")


@pytest.mark.parametrize("network", ["Fixed", "Grey"])
def test_the_scale_of_pictures_is_to_be_set(network, write, run_main) -> None:
    printed = write("mine", "--network", f"nets.some.{network}")
    assert "to be set in it: scale" in printed
    assert "scale: .nan  # to be set" in Path("zoo_conf/model/mine.yaml").read_text()
    unset = [word for word in command(printed) if not word.startswith("model.preprocess.scale=")]
    done = run_main(*unset, check=1)
    assert "model.preprocess.scale is to be set" in done.stderr


@pytest.mark.parametrize(("given", "scale"), [("1/255", 1 / 255), ("1/127.5", 1 / 127.5), ("1", 1.0), ("0.5", 0.5)])
def test_a_scale_that_is_given_is_written(given, scale, write) -> None:
    printed = write("mine", "--network", "nets.some.Fixed", "--scale", given)
    assert "to be set" not in printed
    assert model(printed).preprocess.scale == scale


@pytest.mark.parametrize(("network", "inputs"), [("Flat", ()), ("Words", ("--input", "ids:7:int64"))])
def test_a_network_without_pictures_has_no_scale_to_set(network, inputs, write) -> None:
    printed = write("mine", "--network", f"nets.some.{network}", *inputs)
    assert ("to be set" in printed, model(printed).preprocess.scale) == (False, 1.0)


def test_arguments_may_be_callables_themselves(write, run_main) -> None:
    nested = "layer={_target_: other_nets.Inner, _args_: [12], out: 3}"
    Path("other_nets.py").write_text(
        "from torch import nn\nclass Inner(nn.Linear):\n    def __init__(self, size, out):\n"
        "        super().__init__(size, out)\n"
    )
    printed = write("mine", "--network", "nets.some.Holder", "--argument", nested)
    found = model(printed)
    assert found.network["layer"] == {"_target_": "other_nets.Inner", "_args_": [12], "out": 3}
    assert "allow=[nets,other_nets]" in command(printed)
    run_main(*command(printed), "stages=[score]", "hydra.run.dir=out")


def test_layers_of_torch_make_a_network_without_any_code(write, run_main) -> None:
    layers = "_args_=[{_target_: torch.nn.Flatten}, {_target_: torch.nn.Linear, _args_: [12, 3]}]"
    printed = write("mine", "--network", "torch.nn.Sequential", "--argument", layers, "--input", "3,2,2")
    run_main(*command(printed), "stages=[score]", "hydra.run.dir=out")


def test_a_network_whose_argument_says_no_classes_is_tried_with_those_that_it_returns(write) -> None:
    Path("nets/features.py").write_text(
        "from nets.some import Fixed\n\n\nclass Features(Fixed):\n    def __init__(self, num_classes):\n"
        "        super().__init__(num_classes or 6)\n"
    )
    printed = write("mine", "--network", "nets.features.Features", "--argument", "num_classes=0")
    assert "dataset.reader.classes=6" in command(printed)


def test_a_class_may_be_named_by_its_package(write) -> None:
    Path("nets/__init__.py").write_text("from nets.some import Fixed\n")
    assert model(write("mine", "--network", "nets.Fixed")).network == {"_target_": "nets.Fixed"}


def test_the_command_that_is_printed_runs(write, run_main) -> None:
    arguments = command(write("mine", "--network", "nets.some.Fixed"))
    assert "dataset.reader.classes=5" in arguments
    run_main(*arguments, "benchmark.min_seconds=0", "hydra.run.dir=out")
    assert Path("out/result.json").is_file()


TASKS = [
    ("detection", "Detector", "3,64,96", "runner.tasks.detection.Flat"),
    ("segmentation", "Segmenter", "3,32,48", "runner.tasks.segmentation.Maps"),
    ("restoration", "Denoiser", "1,null,null", "runner.tasks.restoration.Picture"),
    ("recognition", "Reader", "3,24,48", "runner.tasks.recognition.Ctc"),
    ("ocr_detection", "Finder", "3,64,96", "runner.tasks.ocr_detection.Db"),
]


@pytest.mark.parametrize(("task", "network", "shape", "decoder"), TASKS)
def test_a_network_of_any_task_is_drafted_with_its_decoder_and_runs(
    task, network, shape, decoder, write, run_main
) -> None:
    printed = write("mine", "--network", f"nets.some.{network}", "--task", task, "--input", shape)
    found = model(printed)
    assert (found.task, found.decode["_target_"]) == (task, decoder)
    assert [None if size == "null" else int(size) for size in shape.split(",")] == found.inputs[0].shape
    run_main(*command(printed), "stages=[score]", "hydra.run.dir=out")


def test_a_network_is_asked_at_two_widths_which_axis_is_that_of_time(write) -> None:
    found = model(write("mine", "--network", "nets.some.Reader", "--task", "recognition", "--input", "3,24,48"))
    assert (found.decode["layout"], len(found.decode["alphabet"])) == ("NCT", 39)
    assert "to be checked" not in Path("zoo_conf/model/mine.yaml").read_text()


def test_a_layout_that_one_size_alone_shows_is_to_be_checked(write) -> None:
    source = "from nets.some import Reader\n\n\nclass One(Reader):\n    def forward(self, x):\n"
    Path("nets/one.py").write_text(source + "        return super().forward(x.reshape(-1, 3, 24, 48))\n")
    write("mine", "--network", "nets.one.One", "--task", "recognition", "--input", "3,24,48")
    assert "# to be checked: layout, NTC or NCT; the longer axis" in Path("zoo_conf/model/mine.yaml").read_text()


def test_outputs_that_show_no_decoder_leave_it_to_the_user_and_run(write, run_main) -> None:
    printed = write("mine", "--network", "nets.some.Heads", "--task", "detection", "--input", "3,64,96")
    assert "# decode: {_target_: runner.tasks.detection.NAME}" in Path("zoo_conf/model/mine.yaml").read_text()
    run_main(*command(printed), "stages=[score]", "hydra.run.dir=out")


@pytest.fixture
def onnx_file(tmp_path) -> Callable[..., str]:
    """Write net.onnx, a convolution of an `image` of this shape, None for a free size; `flat` classifies."""

    def save(outputs: int, shape: tuple[int | None, ...], batch: int | None = None, flat: bool = False) -> str:
        make = onnx.helper
        weight = np.full((outputs, shape[0], 3, 3), 0.1, np.float32)
        nodes = [make.make_node("Conv", ["image", "weight"], ["map" if flat else "out"], pads=[1, 1, 1, 1])]
        if flat:
            nodes += [make.make_node("GlobalMaxPool", ["map"], ["top"]), make.make_node("Flatten", ["top"], ["out"])]
        axes = [batch or "n", *(f"axis{axis}" if size is None else size for axis, size in enumerate(shape))]
        image = make.make_tensor_value_info("image", onnx.TensorProto.FLOAT, axes)
        out = make.make_tensor_value_info(
            "out", onnx.TensorProto.FLOAT, [batch or "n", outputs, *(axes[2:] * (not flat))]
        )
        graph = make.make_graph(nodes, "net", [image], [out], [onnx.numpy_helper.from_array(weight, "weight")])
        opset = [make.make_opsetid("", 13)]
        model = make.make_model(graph, opset_imports=opset, producer_name="by hand", ir_version=8)
        onnx.save(model, tmp_path / "net.onnx")
        return "net.onnx"

    return save


def test_an_outside_file_is_drafted_with_its_inputs_outputs_and_digest_and_runs(write, onnx_file, run_main) -> None:
    path = onnx_file(5, (3, 32, 48))
    printed = write("mine", "--onnx", path, "--task", "segmentation")
    found = model(printed)
    assert (found.onnx.file, found.onnx.made_by) == (path, "by hand")
    assert found.onnx.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert (found.inputs[0].name, found.inputs[0].shape, found.outputs) == ("image", [3, 32, 48], ["out"])
    assert (found.export.opset, found.export.fixed_batch, found.network) == (13, False, {})
    run_main(*command(printed), "stages=[score]", "hydra.run.dir=out")


def test_an_outside_files_free_sizes_stay_free_unless_given(write, onnx_file, run_main) -> None:
    path = onnx_file(1, (1, None, None))
    printed = write("mine", "--onnx", path, "--task", "restoration")
    assert model(printed).inputs[0].shape == [1, None, None]
    run_main(*command(printed), "stages=[score]", "hydra.run.dir=out")
    fixed = write("mine", "--onnx", path, "--task", "restoration", "--input", "1,32,48", "--force")
    assert model(fixed).inputs[0].shape == [1, 32, 48]


def test_an_outside_file_of_a_fixed_batch_runs_with_that_batch(write, onnx_file, run_main) -> None:
    printed = write("mine", "--onnx", onnx_file(5, (3, 28, 28), batch=2, flat=True))
    found = model(printed)
    assert (found.task, found.export.fixed_batch) == ("image_classification", True)
    assert "batch=2" in command(printed)
    run_main(*command(printed), "stages=[score]", "hydra.run.dir=out")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--input", "1,32,48"), "gives image as [1, 32, 48], and in the ONNX file it is [3, 28, 28]"),
        (("--input", "x:3,28,28"), "--input gives x"),
        (("--argument", "a=1"), "--argument goes with --network"),
        (("--library", "timm"), "--library goes with --arch"),
    ],
)
def test_what_does_not_fit_an_outside_file_is_an_error(arguments, told, write, onnx_file) -> None:
    assert told in write("mine", "--onnx", onnx_file(5, (3, 28, 28)), *arguments, check=1)
    assert not Path("zoo_conf").exists()


def test_a_network_of_other_inputs_is_tried_on_noise(write, run_main) -> None:
    arguments = command(write("flat", "--network", "nets.some.Flat"))
    assert not any(word.startswith("dataset") for word in arguments)
    run_main(*arguments, "stages=[score]", "hydra.run.dir=out")


def test_several_inputs_are_named_as_the_network_names_them(write) -> None:
    found = model(write("two", "--network", "nets.some.Two", "--input", "4", "--input", "b:4"))
    assert [tensor.name for tensor in found.inputs] == ["left", "b"]
    assert found.outputs == ["sum", "difference"]


def test_a_network_of_whole_numbers_is_tried_on_noise(write, run_main) -> None:
    arguments = command(write("words", "--network", "nets.some.Words", "--input", "ids:7:int64"))
    run_main(*arguments, "stages=[score]", "hydra.run.dir=out")


def test_arguments_reach_the_network_and_the_file(write) -> None:
    printed = write("mine", "--network", "nets.some.Fixed", "--argument", "classes=7")
    assert model(printed).network["classes"] == 7
    assert "dataset.reader.classes=7" in printed


def test_a_package_that_is_nowhere_is_written_and_runs(write, run_main) -> None:
    printed = write("mine", "--network", "fresh.deep.net.Small")
    assert "wrote fresh/deep/net.py" in printed
    run_main(*command(printed), "stages=[export]", "hydra.run.dir=out")


def test_a_network_to_begin_with_is_removed_again_where_the_model_cannot_be_written(write) -> None:
    (Path("zoo_conf") / "model").mkdir(parents=True)
    Path("zoo_conf/model/mine.yaml").mkdir()
    assert "cannot be written" in write("mine", "--network", "fresh.net.Net", "--force", check=1)
    assert not Path("fresh").exists()


def test_a_network_to_begin_with_takes_what_is_asked(write) -> None:
    printed = write("mine", "--network", "fresh.net.Small", "--input", "a:3", "--input", "b:4,5")
    assert [tensor.name for tensor in model(printed).inputs] == ["a", "b"]


def test_a_folder_of_any_name_works(write) -> None:
    assert model(write("mine", "--network", "nets.some.Fixed", "--dir", "my zoo's")).name == "mine"


def test_a_zoo_elsewhere_has_its_packages_beside_it(write, tmp_path, monkeypatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "nets").rename(tmp_path / "elsewhere" / "nets")
    printed = write("mine", "--network", "nets.some.Fixed", "--dir", "elsewhere/conf")
    assert model(printed).name == "mine"


def test_a_file_that_is_there_is_kept_unless_forced(write) -> None:
    write("mine", "--network", "nets.some.Fixed")
    Path("zoo_conf/model/mine.yaml").write_text("kept")
    assert "is there already" in write("mine", "--network", "nets.some.Fixed", check=1)
    assert Path("zoo_conf/model/mine.yaml").read_text() == "kept"
    write("mine", "--network", "nets.some.Fixed", "--force")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("9", "--network", "nets.some.Fixed"), "cannot be a model's name"),
        (("../up", "--network", "nets.some.Fixed"), "cannot be a model's name"),
        (("n" * 300, "--network", "nets.some.Fixed"), "cannot be a model's name"),
        (("näme", "--network", "nets.some.Fixed"), "cannot be a model's name"),
        (("null", "--network", "nets.some.Fixed"), "no word of YAML"),
        (("dqn", "--network", "nets.some.Fixed"), "a model dqn of its own"),
        (("m", "--network", "fresh.net.class"), "no PACKAGE.MODULE.NAME"),
        (("m", "--network", "fresh.net.Net", "--input", "a.b:3,32,32"), "a name of its own that Python takes"),
        (("m", "--network", "fresh.net.Net", "--input", "a:3", "--input", "a:4"), "a name of its own"),
        (("m", "--network", "fresh.net.Net", "--input", "3,null,null"), "takes no free sizes"),
        (("m", "--network", "nets.some.Fixed", "--input", "3,0,28"), "has a size that is not 1 to 1048576"),
        (("m", "--network", "nets.some.Fixed", "--input", "3,2000000,28"), "has a size that is not 1 to 1048576"),
        (("m", "--network", "nets.some.Fixed", "--input", "3,1048576,1048576"), "cannot be called with picture"),
        (("m", "--network", "nets.some.Fixed", "--argument", "classes=" + "[" * 20000), "its value is no YAML"),
        (("m", "--network", "Fixed"), "no PACKAGE.MODULE.NAME"),
        (("m", "--network", "nest.some.Fixed"), "did you mean nets?"),
        (("m", "--network", "nets.some.Fixd"), "it has: Any, Broken, Denoiser"),
        (("m", "--network", "nets.sme.Fixed"), "no module 'nets.sme'"),
        (("m", "--network", "nets.some.Broken"), "RuntimeError: no file of mine"),
        (("m", "--network", "nets.some.Any"), "several shapes, such as [3, 28, 28] and [3, 32, 32]"),
        (("m", "--network", "nets.some.Words"), "none of the inputs that were tried"),
        (("m", "--network", "nets.some.Two"), "--input left:3,224,224 --input right:3,224,224"),
        (("m", "--network", "nets.some.Two", "--input", "3"), "takes 2 inputs, left, right; 1 are given"),
        (("m", "--network", "nets.some.Fixed", "--input", "4,28,28"), "cannot be called with picture [4, 28, 28]"),
        (("m", "--network", "nets.some.Fixed", "--input", "3x28"), "is no shape"),
        (("m", "--network", "nets.some.Fixed", "--input", "3:float31"), "no dtype float31"),
        (("m", "--network", "nets.some.Fixed", "--argument", "size=3"), "has no argument 'size'"),
        (("m", "--network", "nets.some.Fixed", "--argument", "size"), "no NAME=VALUE"),
        (("m", "--network", "nets.some.Fixed", "--argument", "a={_target_: os.system}"), "has no argument 'a'"),
        (("m", "--network", "fresh.Net"), "no module of it is named"),
        (("m", "--network", "nets.some.Fixed", "--scale", "1/0"), "--scale 1/0 is no number above 0"),
        (("m", "--network", "nets.some.Fixed", "--scale", "-1"), "--scale -1 is no number above 0"),
        (("m", "--arch", "resnet18", "--scale", "1"), "leave them out: --arch knows its own"),
        (("m", "--network", "nets.some.Fixed", "--argument", "classes=["), "no YAML"),
        (("m", "--network", "nets.some.Reduced"), "keep the batch as the first axis"),
        (("m", "--network", "nets.some.Texts"), "as a str, no tensor"),
        (("m", "--network", "nets.some.Named"), "an output is called ids"),
        (("m", "--network", "nets.some.no_network"), "makes a int, no torch.nn.Module"),
        (("m", "--network", "os.path.join"), "may be called from a configuration"),
        (("m", "--network", "nets.some.Fixed", "--library", "timm"), "--library goes with --arch"),
        (("m", "--arch", "resnet18", "--input", "3"), "go with --network"),
        (("m", "--arch", "resnet18", "--network", "nets.some.Fixed"), "not allowed with"),
        (("m",), "is required"),
        (("m", "--arch", "resnet18", "--task", "detection"), "leave them out: --arch knows its own"),
        (("m", "--network", "fresh.net.Net", "--task", "detection"), "the network to begin with classifies"),
        (("m", "--network", "nets.some.Flat", "--task", "detection"), "is for pictures: one float32 input"),
        (("m", "--network", "nets.some.Flat", "--task", "detect"), "invalid choice"),
        (("m", "--network", "nets.some.Flat", "--task", "image_classification"), "and one output [classes]"),
        (("m", "--onnx", "nowhere.onnx"), "nowhere.onnx is no file"),
        (("m", "--onnx", "empty.onnx"), "empty.onnx is no ONNX model: it has no nodes"),
        (("m", "--arch", ""), "neither torchvision nor timm has a network"),
        (("m", "--onnx", "nets/some.py"), "is no ONNX model"),
        (("m", "--network", "nets.some.Fixed", "--dir", "nets/some.py"), "cannot be written"),
    ],
)
def test_what_cannot_be_is_an_error_with_a_fix_and_writes_nothing(arguments, told, write) -> None:
    Path("empty.onnx").touch()
    printed = write(*arguments, check=1)
    assert told in printed
    assert "Traceback" not in printed
    assert not Path("zoo_conf").exists()


@pytest.mark.parametrize("method", ["__init__(self)", "forward(self, picture)"])
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import sys; sys.exit(2)", "SystemExit: 2"),
        ("import os; os._exit(2)", "os._exit(2)"),
        ("raise BaseException('odd')", "BaseException: odd"),
        ("raise type('Mine', (KeyboardInterrupt,), {})('stop')", "Mine: stop"),
        ("raise ValueError('odd')", "ValueError: odd"),
    ],
)
def test_a_network_that_does_anything_else_is_named_with_its_line(method, body, told, write) -> None:
    source = f"from nets.some import Fixed\n\n\nclass Odd(Fixed):\n    def {method}:\n        {body}\n"
    Path("nets/odd.py").write_text(source)
    printed = write("mine", "--network", "nets.odd.Odd", "--input", "3,28,28", check=1)
    assert told in printed and "odd.py:6" in printed
    assert "Traceback" not in printed


def test_a_network_that_changes_the_working_folder_does_not_move_the_file(write, tmp_path) -> None:
    source = "import os\nfrom nets.some import Fixed\n\n\nclass Odd(Fixed):\n    def forward(self, picture):\n"
    Path("nets/odd.py").write_text(source + "        os.chdir('/')\n        return super().forward(picture)\n")
    write("mine", "--network", "nets.odd.Odd", "--input", "3,28,28")
    assert (tmp_path / "zoo_conf" / "model" / "mine.yaml").is_file()


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Path:
    """A folder in whose store the libraries' catalogues stay for the module."""
    return tmp_path_factory.mktemp("asked")


@pytest.mark.parametrize(
    ("arch", "library", "target"),
    [
        ("resnet18", None, "runner.networks.libraries.build_torchvision"),
        ("resnet18", "timm", "timm.create_model"),
        ("levit_128s", None, "timm.create_model"),
        ("ssdlite320_mobilenet_v3_large", None, "runner.networks.libraries.build_torchvision"),
    ],
)
def test_a_librarys_network_is_written_as_the_library_describes_it(
    arch, library, target, asked, write, monkeypatch
) -> None:
    monkeypatch.chdir(asked)
    named = ["--library", library] if library else []
    found = model(write("lent", "--arch", arch, *named, "--force"))
    described = loading.load(
        compose.compose([f"model={'timm' if target.startswith('timm') else 'torchvision'}", f"model.arch={arch}"])
    ).model
    assert (found.name, found.network["_target_"]) == ("lent", target)
    assert geometry(found) == geometry(described)
    for part in ("task", "network", "inputs", "outputs", "decode", "deviations", "fidelity", "reference"):
        assert getattr(found, part) == getattr(described, part), part
    assert (found.checkpoint.url, found.checkpoint.sha256, found.checkpoint.adapt) == (
        described.checkpoint.url,
        described.checkpoint.sha256,
        described.checkpoint.adapt,
    )


def test_a_librarys_network_that_there_is_not_is_answered_with_the_nearest(asked, write, monkeypatch) -> None:
    monkeypatch.chdir(asked)
    assert "did you mean resnet18" in write("lent", "--arch", "resnet81", "--force", check=1)


@pytest.mark.parametrize(
    "text", ["12345e67", "1e5", "0x1f", "no", "null", "a: b", "a #b", "", "- a", "y", "1:30", "a/"]
)
def test_text_that_yaml_would_take_for_something_else_is_quoted(text: str) -> None:
    line = drafts.scalar(text)
    assert yaml.safe_load(line) == text
    assert OmegaConf.create(f"a: {line}").a == text


def test_heavy_libraries_are_imported_only_where_a_network_is_made() -> None:
    script = (
        "import sys, runner.new.__main__; sys.exit(bool({'torch', 'timm', 'torchvision', 'onnx'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0


def test_a_typed_error_is_what_a_bad_command_line_raises() -> None:
    with pytest.raises(ConfigError, match="unrecognized"):
        Parser(prog="x").parse_args(["--nope"])

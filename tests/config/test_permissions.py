import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.config import permissions, targets
from runner.config.callables import Target
from runner.core import ConfigError
from runner.core.lazy import torch


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that is nobody's, and says so when it is imported."""
    (tmp_path / "strange_pack").mkdir()
    (tmp_path / "strange_pack" / "__init__.py").write_text("")
    (tmp_path / "strange_pack" / "net.py").write_text(
        "import pathlib\nfrom os import system\ndef net(): pass\n"
        f"pathlib.Path({str(tmp_path / 'imported')!r}).touch()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "strange_pack"
    for name in [name for name in sys.modules if name.startswith("strange_pack")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins.eval", "subprocess.Popen", "torch.load", "torch.hub.load", "runpy.run_path", "zoology.net"],
)
@pytest.mark.parametrize("where", ["model.network", "dataset.reader", "dataset.metrics.top1", "tool.adapter"])
def test_what_is_in_no_package_of_the_list_is_refused(name: str, where: str) -> None:
    with pytest.raises(ConfigError, match=f"{where} names {name}"):
        targets.parse({"_target_": name}, where)
    with pytest.raises(ConfigError, match="may not be called"):
        targets.locate(Target(name))


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("model.network", "runner.core.process.run"),
        ("model.network", "runner.tools.command_line.run"),
        ("dataset.reader", "runner.core.process.run"),
        ("dataset.reader", "torchvision.datasets.MNIST"),
        ("dataset.preview", "runner.store.Store"),
        ("model.surgery", "torch.nn.Linear"),
        ("somewhere.new", "runner.core.process.run"),
    ],
)
def test_what_has_its_place_elsewhere_is_refused(where: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{where} names {name}, which may not be called there"):
        targets.parse({"_target_": name}, where)


@pytest.mark.parametrize(
    ("where", "name", "told"),
    [
        (
            "dataset.metrics.top1",
            "runner.tasks.generation.write_image_grid",
            "not made to be called as dataset.metrics",
        ),
        ("dataset.preview", "runner.tasks.classification.top_k", "not made to be called as dataset.preview"),
        ("dataset.reader", "runner.tasks.agreement", "not made to be called as dataset.reader"),
        ("dataset.reader", "runner.tasks.drawn.DrawnPictures", "not made to be called as dataset.reader"),
        ("model.decode", "runner.tasks.cosine", "not made to be called as model.decode"),
        ("tool.adapter", "runner.tools.ascend.Atc", "which lacks measuring, infer, measure"),
        ("tool.compiler", "runner.tools.ascend.AisBench", "which lacks compile"),
        ("dataset.reader", "runner.data.Geometry", "which lacks validate, content, stored_bytes, write"),
    ],
)
def test_a_hook_of_another_kind_is_not_called(where: str, name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*{told}"):
        targets.call(targets.parse({"_target_": name}, where))


@pytest.mark.parametrize(
    "name",
    [
        "runner.tools.command_line.run",  # a function, where the hooks are classes
        "runner.tools.ascend.ais_bench.Path",  # from elsewhere
        "runner.data.pictures.ExitStack",
        "runner.tools.ascend.atc._made",  # not public
        "torchvision.io.write_file",
        "torchvision.datasets.MNIST",
        "torchvision.models.ResNet50_Weights",
        "torchvision.models.list_models",
        "timm.models.load_checkpoint",
        "timm.models.load_state_dict_from_hf",
        "timm.utils.model_ema.deepcopy",
        "torch.nn.utils.clip_grad_norm_",
        "torch.nn.init.normal_",
    ],
)
def test_what_is_neither_a_hook_nor_a_network_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        targets.locate(Target(name))


@pytest.mark.parametrize("name", ["torchvision.os.system", "timm.models.torch.load", "torchvision.models.os.system"])
def test_a_module_that_another_imports_is_no_way_out_of_it(name: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no module|has no callable"):
        targets.locate(Target(name))


@pytest.mark.parametrize(
    "name",
    [
        "torchvision.models.resnet18",
        "torchvision.models.get_model",
        "torchvision.ops.MLP",
        "timm.create_model",
        "timm.models.resnet18",
        "torch.nn.Linear",
        "zoo.dqn.NatureDQN",
    ],
)
def test_networks_are_found(name: str) -> None:
    assert callable(targets.locate(Target(name)))


def test_a_package_that_is_not_allowed_is_not_even_imported(package: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"strange_pack\.net\.net.*may not be called there") as error:
        targets.locate(targets.parse({"_target_": "strange_pack.net.net"}, "model.network"))
    assert "allow=[strange_pack]" in error.value.fix
    assert not (tmp_path / "imported").exists()


def test_a_package_that_is_allowed_may_be_named_anywhere(package: str) -> None:
    permissions.allow([package])
    for where in ("model.network", "dataset.reader", "tool.adapter", "model.surgery"):
        assert callable(targets.locate(targets.parse({"_target_": "strange_pack.net.net"}, where)))


def test_what_an_allowed_package_imports_from_elsewhere_is_not_its_own(package: str) -> None:
    permissions.allow([package])
    with pytest.raises(ConfigError, match="is defined in 'posix'"):
        targets.locate(Target("strange_pack.net.system"))


def test_a_name_that_only_begins_as_an_allowed_one_is_refused(package: str) -> None:
    permissions.allow(["strange"])
    with pytest.raises(ConfigError, match="may not be called"):
        targets.locate(Target("strange_pack.net.net"))


def test_what_was_allowed_before_is_not_any_more(package: str) -> None:
    permissions.allow([package])
    permissions.allow([])
    assert permissions.allowed() == ()


@pytest.mark.parametrize("name", ["", "a b", "a;b", "*", "../a"])
def test_only_packages_can_be_allowed(name: str) -> None:
    with pytest.raises(ConfigError, match="no package"):
        permissions.allow([name])


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("timm.create_model", {"model_name": "resnet18", "pretrained": True}, "pretrained=True"),
        ("timm.create_model", {"model_name": "resnet18", "checkpoint_path": "evil.pth"}, "checkpoint_path"),
        ("timm.create_model", {"model_name": "hf-hub:someone/evil"}, "hf-hub:someone/evil"),
        ("timm.create_model", {"model_name": "local-dir:/tmp/evil"}, "local-dir"),
        ("timm.create_model", {"model_name": ["resnet18"]}, "model_name"),
        ("timm.models.resnet18", {"pretrained": True}, "pretrained"),
        ("torchvision.models.resnet18", {"weights": "DEFAULT"}, "weights='DEFAULT'"),
        ("torchvision.models.get_model", {"name": "resnet18", "weights": "DEFAULT"}, "weights"),
        ("torchvision.models.segmentation.fcn_resnet50", {"weights_backbone": "DEFAULT"}, "weights_backbone"),
    ],
)
def test_a_library_is_not_let_fetch_weights_itself(name: str, arguments: dict, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        targets.parse({"_target_": name, **arguments}, "model.network")
    assert told in error.value.message


def test_the_adapter_of_checkpoints_takes_plain_names_too() -> None:
    node = {"_target_": "runner.networks.libraries.adapt_timm_checkpoint", "model_name": "hf-hub:someone/evil"}
    with pytest.raises(ConfigError, match="hf-hub"):
        targets.parse(node, "model.checkpoint.adapt")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("torchvision.models.segmentation.fcn_resnet50", {}),
        ("torchvision.models.get_model", {"name": "fcn_resnet50"}),
    ],
)
def test_weights_that_a_library_fetches_unless_told_otherwise_must_be_told(name: str, arguments: dict) -> None:
    with pytest.raises(ConfigError, match="unless weights_backbone is null") as error:
        targets.locate(Target(name, arguments))
    assert "weights_backbone: null" in error.value.fix
    assert callable(targets.locate(Target(name, {**arguments, "weights_backbone": None})))


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins.eval", "runner.core.process.run", "runner.tools.command_line.run", "runner.tasks.cosine"],
)
@pytest.mark.parametrize(
    "holder",
    [
        lambda nested: {"_args_": [nested]},
        lambda nested: {"module": nested},
        lambda nested: {"modules": [{"deep": [nested]}]},
        lambda nested: {"_args_": [{"_target_": "torch.nn.Sequential", "_args_": [nested]}]},
    ],
    ids=["positional", "named", "in a list", "two deep"],
)
def test_a_nested_callable_reaches_nothing_that_the_outer_may_not(name: str, holder: Callable[[dict], dict]) -> None:
    with pytest.raises(ConfigError, match=rf"model\.network.* names {name}, which may not be called there"):
        targets.parse({"_target_": "torch.nn.Sequential", **holder({"_target_": name})}, "model.network")


@pytest.mark.parametrize(
    "nested",
    [
        {"_target_": "torchvision.io.write_file"},
        {"_target_": "torch.nn.init.normal_"},
        {"_target_": "torchvision.models.segmentation.fcn_resnet50"},
    ],
)
def test_a_nested_callable_must_be_a_network_too(nested: dict) -> None:
    with pytest.raises(ConfigError, match=nested["_target_"]):
        targets.call(targets.parse({"_target_": "torch.nn.Sequential", "_args_": [nested]}, "model.network"))


@pytest.mark.parametrize(
    ("name", "positional"),
    [
        ("timm.create_model", ["resnet18", True]),
        ("timm.models.resnet18", [True]),
        ("torchvision.models.resnet18", ["DEFAULT"]),
        ("torchvision.models.get_model", ["resnet18"]),
    ],
)
def test_a_librarys_function_takes_no_argument_without_its_name(name: str, positional: list) -> None:
    with pytest.raises(ConfigError, match=f"{name} is given arguments without names"):
        targets.call(targets.parse({"_target_": name, "_args_": positional}, "model.network"))


def test_a_library_is_not_let_fetch_weights_by_a_nested_network() -> None:
    nested = {"_target_": "torchvision.models.resnet18", "weights": "DEFAULT"}
    with pytest.raises(ConfigError, match="weights='DEFAULT'"):
        targets.parse({"_target_": "torch.nn.Sequential", "_args_": [nested]}, "model.network")


DISTILLATION = "timm.task.distillation"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (f"{DISTILLATION}.DistillationTeacher", {"model_name_or_module": "resnet18", "num_classes": 10}),
        (f"{DISTILLATION}.LogitDistillationTask", {}),
        (f"{DISTILLATION}.FeatureDistillationTask", {}),
        ("timm.task.token_distillation.TokenDistillationTask", {}),
    ],
)
def test_a_class_that_can_load_weights_is_no_network(name: str, arguments: dict) -> None:
    with pytest.raises(ConfigError, match=r"can load weights itself, by .*pretrained_path"):
        targets.call(targets.named(name, "model.network", arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        {"pretrained_cfg": {"url": "http://127.0.0.1:9/x.pth"}},
        {"pretrained_cfg": "a1_in1k"},
        {"pretrained_cfg_overlay": {"file": "x.pth"}},
        {"pretrained": 1},
        {"cache_dir": "cache"},
        {"state_dict": {"a": 1}},
        {"stem": {"url": "x"}},
        {"blocks": [{"checkpoint_path": "x"}]},
        {"act_layer": "../x"},
        {"layers": ["http://127.0.0.1:9"]},
        {"source": "hf-hub:a/b"},
    ],
)
def test_no_argument_of_a_library_names_a_place(arguments: dict) -> None:
    with pytest.raises(ConfigError, match="by which the library itself would load weights"):
        targets.named("timm.create_model", "model.network", {"model_name": "resnet18", **arguments})


CODE = 'x" if getattr(__import__("os"), "write")(2, b"ran") else "x'


PART = {"_target_": "torch.nn.Identity"}


def extracted(modules: object) -> dict:
    """A network whose forward torch.fx writes as Python code that has the names of its parts in it."""
    names = dict(modules) if isinstance(modules, list) else modules
    inner = {
        "_target_": "torchvision.models._utils.IntermediateLayerGetter",
        "model": {"_target_": "torch.nn.ModuleDict", "modules": modules},
        "return_layers": {name: name for name in names},
    }
    return {"_target_": "timm.models._features_fx.GraphExtractNet", "model": inner, "return_nodes": ["last"]}


@pytest.mark.parametrize("modules", [{CODE: PART, "last": PART}, [[CODE, PART], ["last", PART]]])
def test_no_code_is_smuggled_in_as_the_name_of_a_networks_part(modules: object) -> None:
    with pytest.raises(ConfigError, match="is given the text"):
        targets.parse(extracted(modules), "model.network")


@pytest.mark.parametrize("code", ['a"b', "a'b", "a`b", "a\nb", "a(b)", "a;b", "a\x00", "{a}"])
def test_no_argument_of_a_library_is_code_either_with_or_without_a_name(code: str) -> None:
    with pytest.raises(ConfigError, match="is given the text"):
        targets.named("timm.create_model", "model.network", {"model_name": "resnet18", "act_layer": code})
    with pytest.raises(ConfigError, match="is given the text"):
        targets.call(targets.named("torch.nn.Sequential", "model.network", {"_args_": [code]}))


def test_parts_of_a_network_have_plain_names() -> None:
    made = targets.call(targets.parse(extracted({"stem-0": PART, "last": PART}), "model.network"))
    assert isinstance(made, torch.nn.Module)


def test_no_argument_without_a_name_is_a_place_either() -> None:
    with pytest.raises(ConfigError, match="load weights"):
        targets.call(targets.named("torch.nn.Sequential", "model.network", {"_args_": ["/etc/passwd"]}))


def test_probabilities_and_sizes_are_no_places() -> None:
    arguments = {"model_name": "vit_tiny_patch16_224", "drop_path_rate": 0.1, "pretrained": False}
    assert targets.named("timm.create_model", "model.network", arguments).arguments == arguments

"""Segmentation networks of libraries by name."""

import subprocess
import sys

import pytest
import torch

from runner.core import ConfigError
from runner.networks.libraries import build_smp, build_torchvision


@pytest.mark.parametrize("arch", ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"])
def test_torchvisions_segmentation_networks_are_built_as_for_their_weights(arch, monkeypatch) -> None:
    from torchvision import models

    ours = build_torchvision(arch, None, 21).eval()
    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", lambda self, *_, **__: ours.state_dict())
    theirs = models.get_model(arch, weights="DEFAULT").eval()
    inputs = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(ours(inputs)["out"], theirs(inputs)["out"])


def test_torchvisions_segmentation_networks_come_with_their_preprocessing_and_decoder(run_config, tmp_path) -> None:
    arguments = ("model=torchvision", "model.arch=deeplabv3_resnet50", "dataset=synthetic_shapes")
    config = run_config(*arguments, f"cache_dir={tmp_path}")
    model = config.model
    assert (model.task, model.outputs, model.inputs[0].shape) == ("segmentation", ["out"], [3, 520, 696])
    assert (model.preprocess.fit, model.preprocess.pad_value) == ("inside", [124, 116, 104])
    assert model.decode == {"_target_": "runner.tasks.segmentation.Maps"}
    assert config.dataset.reader["classes"] == model.network["num_classes"] == 21


def test_smp_that_is_not_installed_is_told_with_the_line_to_type(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(ConfigError) as caught:
        build_smp("Unet", "resnet34", 21)
    assert caught.value.fix == "pip install 'model-zoo-runner[segmentation]'"


def test_network_of_smp_gives_logits_in_the_pictures_size() -> None:
    pytest.importorskip("segmentation_models_pytorch")
    with torch.no_grad():
        assert build_smp("Linknet", "mobilenet_v2", 5).eval()(torch.rand(1, 3, 32, 64)).shape == (1, 5, 32, 64)


def test_network_of_smp_is_built_under_guard_by_a_process_that_has_not_imported_it() -> None:
    pytest.importorskip("segmentation_models_pytorch")
    code = """
import torch

from runner.core import offline
from runner.networks.libraries import build_smp

with offline.guard("it"):
    build_smp("Unet", "resnet18", 2)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arch", "encoder", "told"),
    [
        (None, "resnet18", r"model\.arch is None"),
        ("Vnet", "resnet18", r"model\.arch is 'Vnet'"),
        ("Unet", "resnet19", r"model\.network\.encoder is 'resnet19'"),
        ("Unet", "tu-hf-hub:a/b", r"model\.network\.encoder is 'tu-hf-hub:a/b'"),
    ],
)
def test_network_or_encoder_that_smp_lacks_is_an_error(arch, encoder, told) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    with pytest.raises(ConfigError, match=told):
        build_smp(arch, encoder, 21)

from collections.abc import Callable

import pytest
import torch

from zoo.ddrnet import Ddrnet


@pytest.mark.parametrize(("width", "millions"), [(32, 5.7), (64, 20.1)])
def test_the_parameters_are_as_many_as_published(width: int, millions: float) -> None:
    # DDRNet-23-slim and DDRNet-23, in the paper
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in Ddrnet(width=width).parameters())
    assert round(count / 1e6, 1) == millions


def test_parameters_have_the_names_of_the_authors() -> None:
    assert set(Ddrnet().state_dict()) >= {
        "conv1.3.bias",
        "layer2.0.downsample.1.running_var",
        "layer5_.0.conv3.weight",
        "down4.4.weight",
        "compression3.0.weight",
        "spp.scale4.3.weight",
        "spp.process1.2.weight",
        "spp.compression.2.weight",
        "final_layer.conv2.bias",
    }


def test_logits_have_the_pictures_size() -> None:
    with torch.no_grad():
        assert Ddrnet(5).eval()(torch.zeros(1, 3, 64, 128)).shape == (1, 5, 64, 128)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Ddrnet(), (1, 3, 64, 64), (2, 3, 64, 128))

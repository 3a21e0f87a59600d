from collections.abc import Callable

import pytest
import torch

from zoo.dbnet import Dbnet


def test_parameters_have_the_names_of_db() -> None:
    assert set(Dbnet().state_dict()) >= {
        "backbone.layer4.1.bn2.weight",
        "decoder.in5.weight",
        "decoder.out5.0.weight",
        "decoder.out2.weight",
        "decoder.binarize.3.weight",
        "decoder.binarize.6.bias",
    }


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_each_pixel_has_a_probability(backbone: str) -> None:
    with torch.no_grad():
        probabilities = Dbnet(backbone).eval()(torch.rand(2, 3, 32, 64))
    assert probabilities.shape == (2, 1, 32, 64)
    assert 0 < probabilities.min() < probabilities.max() < 1


def test_another_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="backbone is resnet34, not one of resnet18, resnet50"):
        Dbnet("resnet34")


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Dbnet(), (1, 3, 32, 32), (2, 3, 64, 32))

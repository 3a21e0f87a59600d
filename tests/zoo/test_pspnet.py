from collections.abc import Callable

import pytest
import torch

from zoo.pspnet import Pspnet


def test_the_heads_parameters_have_the_names_of_semseg() -> None:
    with torch.device("meta"):
        assert set(Pspnet(19).state_dict()) >= {
            "ppm.features.0.1.weight",
            "ppm.features.3.2.running_var",
            "cls.0.weight",
            "cls.4.bias",
        }


def test_logits_have_the_pictures_size() -> None:
    with torch.no_grad():
        assert Pspnet(5).eval()(torch.zeros(1, 3, 40, 25)).shape == (1, 5, 40, 25)


def test_another_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="backbone is resnet18, not one of resnet50, resnet101"):
        Pspnet(19, backbone="resnet18")


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Pspnet(19), (1, 3, 40, 33), (2, 3, 40, 33))

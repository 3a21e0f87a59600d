from collections.abc import Callable

import pytest
import torch

from zoo.deeplabv3plus import Deeplabv3Plus


def test_parameters_have_the_names_of_vainf() -> None:
    assert set(Deeplabv3Plus(21).state_dict()) >= {
        "backbone.layer4.2.bn3.weight",
        "classifier.project.0.weight",
        "classifier.aspp.convs.4.1.weight",
        "classifier.aspp.project.0.weight",
        "classifier.classifier.3.bias",
    }


@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet_v2"])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_features_are_smaller_by_the_output_stride(backbone: str, output_stride: int) -> None:
    network = Deeplabv3Plus(21, backbone, output_stride).eval()
    with torch.no_grad():
        features = network.backbone(torch.zeros(1, 3, 32, 64))
    assert [tuple(features[name].shape[2:]) for name in ("low_level", "high_level")] == [
        (8, 16),
        (32 // output_stride, 64 // output_stride),
    ]


def test_logits_have_the_pictures_size() -> None:
    with torch.no_grad():
        assert Deeplabv3Plus(5, "mobilenet_v2").eval()(torch.zeros(1, 3, 35, 50)).shape == (1, 5, 35, 50)


def test_another_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="backbone is vgg16, not one of resnet50, resnet101, mobilenet_v2"):
        Deeplabv3Plus(21, backbone="vgg16")


def test_another_output_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="output_stride is 32, neither 8 nor 16"):
        Deeplabv3Plus(21, output_stride=32)


@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet_v2"])
def test_onnx_equals_torch(backbone: str, onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Deeplabv3Plus(21, backbone), (1, 3, 32, 32), (2, 3, 40, 33))

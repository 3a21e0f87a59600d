from collections.abc import Callable

import pytest
import torch

from zoo.unet import Unet


@pytest.mark.parametrize(("bilinear", "count"), [(False, 31_037_698), (True, 17_263_042)])
def test_enlarging_by_interpolation_needs_fewer_parameters(bilinear: bool, count: int) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Unet(2, bilinear=bilinear).parameters()) == count


def test_parameters_have_the_names_of_pytorch_unet() -> None:
    with torch.device("meta"):
        assert set(Unet(2).state_dict()) >= {
            "inc.double_conv.0.weight",
            "down4.maxpool_conv.1.double_conv.4.running_var",
            "up1.up.bias",
            "up4.conv.double_conv.3.weight",
            "outc.conv.bias",
        }


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Unet(2), (1, 3, 16, 16), (2, 3, 23, 16))

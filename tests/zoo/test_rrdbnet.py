from collections.abc import Callable

import pytest
import torch

from zoo.rrdbnet import RrdbNet


def test_three_dense_blocks_of_five_convolutions_make_a_block() -> None:
    (block,) = RrdbNet(blocks=1).body
    shapes = [(conv.in_channels, conv.out_channels) for conv in block.modules() if isinstance(conv, torch.nn.Conv2d)]
    assert shapes == 3 * [(64, 32), (96, 32), (128, 32), (160, 32), (192, 64)]


def test_parameters_have_the_names_of_basicsr() -> None:
    assert set(RrdbNet(blocks=1).state_dict()) >= {
        "conv_first.weight",
        "body.0.rdb1.conv1.weight",
        "body.0.rdb3.conv5.bias",
        "conv_body.weight",
        "conv_up2.weight",
        "conv_hr.weight",
        "conv_last.bias",
    }


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_pictures_grow_by_the_scale(scale: int) -> None:
    with torch.no_grad():
        assert RrdbNet(scale, blocks=1).eval()(torch.zeros(2, 3, 4, 8)).shape == (2, 3, 4 * scale, 8 * scale)


def test_another_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="scale is 3, not one of 1, 2, 4"):
        RrdbNet(scale=3)


@pytest.mark.parametrize("scale", [2, 4])
def test_onnx_equals_torch(scale: int, onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(RrdbNet(scale, blocks=1), (1, 3, 8, 8), (2, 3, 6, 10))

from collections.abc import Callable

import pytest
import torch

from zoo.rcan import Rcan


def test_the_parameters_are_as_many_as_published() -> None:
    # 16 million in the paper (scale 4)
    assert round(sum(parameter.numel() for parameter in Rcan(scale=4).parameters()) / 1e6) == 16


def test_parameters_have_the_names_of_the_authors() -> None:
    assert set(Rcan(groups=2, blocks=2).state_dict()) >= {
        "sub_mean.weight",
        "head.0.weight",
        "body.1.body.1.body.0.weight",
        "body.1.body.1.body.3.conv_du.2.bias",
        "body.1.body.2.weight",
        "body.2.weight",
        "tail.0.0.weight",
        "tail.1.bias",
    }


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pictures_grow_by_the_scale(scale: int) -> None:
    with torch.no_grad():
        assert Rcan(scale, groups=2, blocks=2).eval()(torch.zeros(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Rcan(groups=2, blocks=2), (1, 3, 8, 8), (2, 3, 7, 9))

from collections.abc import Callable

import pytest
import torch

from zoo.rdn import Rdn


def test_the_parameters_of_configuration_b_are_as_many_as_published() -> None:
    # 22 million in RCAN's paper (scale 4)
    assert round(sum(parameter.numel() for parameter in Rdn(scale=4).parameters()) / 1e6) == 22


def test_parameters_have_the_names_of_edsr_pytorch() -> None:
    assert set(Rdn(blocks=2, layers=2).state_dict()) >= {
        "SFENet1.weight",
        "RDBs.1.convs.1.conv.0.weight",
        "RDBs.1.LFF.bias",
        "GFF.0.weight",
        "GFF.1.weight",
        "UPNet.0.weight",
        "UPNet.2.bias",
    }


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pictures_grow_by_the_scale(scale: int) -> None:
    with torch.no_grad():
        assert Rdn(scale, blocks=2, layers=2).eval()(torch.zeros(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Rdn(blocks=2, layers=2), (1, 3, 8, 8), (2, 3, 7, 9))

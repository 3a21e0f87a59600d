from collections.abc import Callable

import pytest
import torch

from zoo.espcn import Espcn


def test_parameters_have_the_names_of_espcn_pytorch() -> None:
    assert set(Espcn().state_dict()) >= {
        "first_part.0.weight",
        "first_part.2.bias",
        "last_part.0.weight",
    }


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pictures_grow_by_the_scale(scale: int) -> None:
    with torch.no_grad():
        assert Espcn(scale).eval()(torch.zeros(2, 1, 5, 7)).shape == (2, 1, 5 * scale, 7 * scale)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Espcn(), (1, 1, 8, 8), (2, 1, 7, 9))

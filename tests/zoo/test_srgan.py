from collections.abc import Callable

import pytest
import torch

from zoo.srgan import SrganGenerator


def test_parameters_have_the_names_of_the_published_checkpoint() -> None:
    assert set(SrganGenerator().state_dict()) >= {
        "block1.1.weight",
        "block2.conv1.weight",
        "block6.bn2.running_var",
        "block7.1.weight",
        "block8.0.conv.weight",
        "block8.1.bias",
    }


@pytest.mark.parametrize("scale", [2, 4])
def test_pictures_grow_by_the_scale(scale: int) -> None:
    with torch.no_grad():
        assert SrganGenerator(scale).eval()(torch.zeros(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


def test_pictures_stay_within_zero_and_one() -> None:
    network = SrganGenerator().eval()
    with torch.no_grad():
        network.block8[-1].weight.mul_(1000)
        pictures = network(torch.rand(1, 3, 8, 8))
    assert (pictures.min(), pictures.max()) == (0, 1)


@pytest.mark.parametrize("scale", [0, 1, 3])
def test_a_scale_that_no_doubling_reaches_is_refused(scale: int) -> None:
    with pytest.raises(ValueError, match=f"scale is {scale}, not a power of two"):
        SrganGenerator(scale)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(SrganGenerator(), (1, 3, 8, 8), (2, 3, 7, 9))

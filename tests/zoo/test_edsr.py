from collections.abc import Callable

import pytest
import torch

from zoo.edsr import Edsr, mean_shift


@pytest.mark.parametrize(("full", "millions"), [(False, [1.37, 1.55, 1.52]), (True, [40.7, 43.7, 43.1])])
def test_the_parameters_are_as_many_as_published(full: bool, millions: list[float]) -> None:
    # The README of EDSR-PyTorch, for the scales 2, 3 and 4
    counts = [sum(parameter.numel() for parameter in Edsr(scale, full).parameters()) for scale in (2, 3, 4)]
    assert [round(count / 1e6, 1 if full else 2) for count in counts] == millions


def test_parameters_have_the_names_of_edsr_pytorch() -> None:
    assert set(Edsr().state_dict()) >= {
        "sub_mean.weight",
        "head.0.weight",
        "body.15.body.2.bias",
        "body.16.weight",
        "tail.0.0.weight",
        "tail.1.bias",
        "add_mean.bias",
    }


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pictures_grow_by_the_scale(scale: int) -> None:
    with torch.no_grad():
        assert Edsr(scale).eval()(torch.zeros(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


def test_another_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="scale is 8, not one of 2, 3, 4"):
        Edsr(scale=8)


def test_the_mean_colour_is_subtracted_and_added_again() -> None:
    pictures = torch.rand(1, 3, 2, 2) * 255
    torch.testing.assert_close(mean_shift(1)(mean_shift(-1)(pictures)), pictures)
    assert mean_shift(-1)(torch.full((1, 3, 1, 1), 114.444))[0, 0].abs() < 1e-4


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Edsr(), (1, 3, 8, 8), (2, 3, 7, 9))

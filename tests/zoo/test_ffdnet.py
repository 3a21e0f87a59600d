from collections.abc import Callable

import pytest
import torch

from zoo.ffdnet import Ffdnet


@pytest.mark.parametrize(("channels", "last"), [(1, 28), (3, 22)])
def test_layers_have_the_names_of_kair(channels: int, last: int) -> None:
    names = {name.rpartition(".")[0] for name in Ffdnet(channels).state_dict()}
    assert names == {f"model.{index}" for index in range(0, last + 1, 2)}


@pytest.mark.parametrize("channels", [1, 3])
def test_clean_pictures_have_the_shape_of_the_noisy_ones(channels: int) -> None:
    assert Ffdnet(channels)(torch.zeros(2, channels, 6, 8), torch.zeros(2, 1, 1, 1)).shape == (2, channels, 6, 8)


def test_each_picture_is_denoised_by_its_own_level() -> None:
    network = Ffdnet().eval()
    noisy, sigma = torch.rand(2, 1, 6, 8), torch.tensor([0.1, 0.9])[:, None, None, None]
    with torch.no_grad():
        expected = torch.cat([network(noisy[:1], sigma[:1]), network(noisy[1:], sigma[1:])])
        torch.testing.assert_close(network(noisy, sigma), expected)
        assert not torch.equal(network(noisy, sigma), network(noisy, sigma.flip(0)))


def test_another_number_of_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="channels is 2, neither 1"):
        Ffdnet(channels=2)


class _ToldTheMean(torch.nn.Module):
    """Told the picture's mean as its noise, so that there is one input."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Ffdnet()

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        return self.network(noisy, noisy.mean((1, 2, 3), keepdim=True))


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(_ToldTheMean(), (1, 1, 8, 8), (2, 1, 6, 10))

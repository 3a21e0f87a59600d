from collections.abc import Callable

import torch

from zoo.adnet import Adnet


def test_the_parameters_are_as_many_as_published() -> None:
    # 0.52 million in the paper
    assert sum(parameter.numel() for parameter in Adnet().parameters()) == 519_171


def test_parameters_have_the_names_of_the_published_checkpoint() -> None:
    assert set(Adnet().state_dict()) >= {
        "conv1_1.0.weight",
        "conv1_15.1.running_var",
        "conv1_16.weight",
        "conv3.weight",
        "conv3.bias",
    }


def test_the_second_fifth_ninth_and_twelfth_layers_are_dilated() -> None:
    network = Adnet()
    dilations = [network.get_submodule(f"conv1_{layer}.0").dilation[0] for layer in range(1, 16)]
    assert dilations == [1, 2, 1, 1, 2, 1, 1, 1, 2, 1, 1, 2, 1, 1, 1]


def test_without_estimated_noise_the_picture_stays_as_it_is() -> None:
    network = Adnet().eval()
    torch.nn.init.zeros_(network.conv1_16.weight)
    noisy = torch.rand(2, 1, 9, 11)
    assert torch.equal(network(noisy), noisy)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Adnet(), (1, 1, 12, 12), (2, 1, 15, 13))

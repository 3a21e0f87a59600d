from collections.abc import Callable

import torch

from zoo.dncnn import Dncnn


def test_the_parameters_are_as_many_as_seventeen_convolutions_and_fifteen_batch_norms_have() -> None:
    # Without biases: the batch norms have them.
    assert sum(parameter.numel() for parameter in Dncnn().parameters()) == 2 * 9 * 64 + 15 * (9 * 64 * 64 + 2 * 64)


def test_parameters_have_the_names_of_dncnn_pytorch() -> None:
    assert set(Dncnn().state_dict()) >= {
        "dncnn.0.weight",
        "dncnn.2.weight",
        "dncnn.3.running_var",
        "dncnn.47.weight",
    }


def test_without_estimated_noise_the_picture_stays_as_it_is() -> None:
    network = Dncnn().eval()
    torch.nn.init.zeros_(network.dncnn[-1].weight)
    noisy = torch.rand(2, 1, 9, 11)
    assert torch.equal(network(noisy), noisy)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Dncnn(layers=20, channels=3), (1, 3, 8, 8), (2, 3, 9, 7))

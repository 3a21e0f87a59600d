from collections.abc import Callable

import torch

from zoo.crnn import Crnn


def test_the_parameters_are_as_many_as_published() -> None:
    # 8.3 million in the paper
    assert sum(parameter.numel() for parameter in Crnn(37).parameters()) == 8_331_301


def test_parameters_have_the_names_of_crnn_pytorch() -> None:
    assert set(Crnn().state_dict()) >= {
        "cnn.conv0.weight",
        "cnn.batchnorm2.weight",
        "cnn.batchnorm6.running_var",
        "rnn.0.rnn.weight_ih_l0_reverse",
        "rnn.1.embedding.bias",
    }


def test_a_line_of_100_pixels_has_26_positions() -> None:
    with torch.no_grad():
        assert Crnn(classes=11).eval()(torch.zeros(2, 1, 32, 100)).shape == (2, 26, 11)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Crnn(), (1, 1, 32, 40), (3, 1, 32, 60))

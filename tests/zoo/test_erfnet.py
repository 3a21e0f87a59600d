from collections.abc import Callable

import torch

from zoo.erfnet import Erfnet


def test_the_parameters_are_as_many_as_published() -> None:
    # 2.1 million in the paper
    assert sum(parameter.numel() for parameter in Erfnet(20).parameters()) == 2_066_836


def test_parameters_have_the_names_of_the_authors() -> None:
    assert set(Erfnet().state_dict()) >= {
        "encoder.initial_block.conv.weight",
        "encoder.layers.5.conv1x3_2.bias",
        "encoder.layers.14.bn2.weight",
        "encoder.output_conv.weight",
        "decoder.layers.3.bn.weight",
        "decoder.output_conv.bias",
    }


def test_logits_have_the_pictures_size() -> None:
    with torch.no_grad():
        assert Erfnet(5).eval()(torch.zeros(2, 3, 24, 40)).shape == (2, 5, 24, 40)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Erfnet(), (1, 3, 32, 32), (2, 3, 24, 40))

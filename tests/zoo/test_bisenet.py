from collections.abc import Callable

import torch

from zoo.bisenet import Bisenet


def test_parameters_have_the_names_of_coincheung() -> None:
    assert set(Bisenet().state_dict()) >= {
        "cp.resnet.layer4.1.bn2.weight",
        "cp.arm32.bn_atten.running_var",
        "cp.conv_avg.bn.weight",
        "sp.conv_out.conv.weight",
        "ffm.convblk.conv.weight",
        "conv_out.conv_out.bias",
    }


def test_logits_have_the_pictures_size() -> None:
    with torch.no_grad():
        assert Bisenet(5).eval()(torch.zeros(1, 3, 64, 32)).shape == (1, 5, 64, 32)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Bisenet(), (1, 3, 32, 32), (2, 3, 64, 32))

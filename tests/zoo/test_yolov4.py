from collections.abc import Callable

import torch
from torch import nn

from zoo.yolov4 import Yolov4


def test_parameters_are_as_many_as_numbers_in_the_authors_file() -> None:
    with torch.device("meta"):
        network = Yolov4()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters == 64_363_101
    # yolov4.weights: 257,717,640 bytes, of which 20 are a header, with means and variances
    assert parameters + sum(2 * norm.num_features for norm in norms) == (257_717_640 - 20) / 4


def test_parameters_have_the_names_of_tianxiaomo() -> None:
    with torch.device("meta"):
        shapes = {name: list(tensor.shape) for name, tensor in Yolov4().state_dict().items()}
    expected = {
        "down1.conv8.conv.0.weight": [64, 128, 1, 1],
        "down3.resblock.module_list.7.1.conv.1.running_var": [128],
        "neek.conv4.conv.0.weight": [512, 2048, 1, 1],
        "head.conv2.conv.0.bias": [255],
        "head.conv18.conv.0.weight": [255, 1024, 1, 1],
    }
    assert {name: shapes.get(name) for name in expected} == expected


@torch.no_grad()
def test_there_is_one_map_for_each_stride() -> None:
    maps = Yolov4(classes=2).eval()(torch.zeros(1, 3, 32, 64))
    assert [list(level.shape) for level in maps] == [[1, 21, 4, 8], [1, 21, 2, 4], [1, 21, 1, 2]]


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Yolov4(classes=2), (1, 3, 32, 32), (2, 3, 32, 32))

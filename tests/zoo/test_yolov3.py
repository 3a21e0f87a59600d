from collections.abc import Callable

import pytest
import torch

from zoo.yolov3 import Yolov3


@pytest.mark.parametrize(("tiny", "parameters"), [(False, 61_949_149), (True, 8_852_366)])
def test_parameters_are_as_many_as_ultralytics_prints(tiny: bool, parameters: int) -> None:
    with torch.device("meta"):
        network = Yolov3(tiny)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_parameters_have_the_names_of_ultralytics() -> None:
    with torch.device("meta"):
        shapes = {name: list(tensor.shape) for name, tensor in Yolov3().state_dict().items()}
    expected = {
        "model.2.cv1.conv.weight": [32, 64, 1, 1],
        "model.6.7.cv2.bn.weight": [256],
        "model.16.conv.weight": [256, 512, 1, 1],
        "model.27.1.cv2.conv.weight": [256, 128, 3, 3],
        "model.28.m.0.weight": [255, 256, 1, 1],
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_there_is_one_map_for_each_stride() -> None:
    maps = Yolov3(classes=2).eval()(torch.zeros(1, 3, 32, 64))
    assert [list(level.shape) for level in maps] == [[1, 21, 4, 8], [1, 21, 2, 4], [1, 21, 1, 2]]


def test_the_tiny_network_has_no_map_at_stride_8() -> None:
    maps = Yolov3(tiny=True, classes=2).eval()(torch.zeros(1, 3, 32, 64))
    assert [list(level.shape) for level in maps] == [[1, 21, 2, 4], [1, 21, 1, 2]]


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Yolov3(tiny=True), (1, 3, 64, 64), (2, 3, 64, 64))

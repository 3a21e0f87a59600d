from collections.abc import Callable

import pytest
import torch

from zoo.yolov5 import Yolov5


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("n", 1_872_157), ("s", 7_235_389), ("m", 21_190_557), ("l", 46_563_709), ("x", 86_749_405)],
)
def test_parameters_are_as_many_as_release_6_prints(size: str, parameters: int) -> None:
    with torch.device("meta"):
        network = Yolov5(size)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_parameters_have_the_published_names() -> None:
    shapes = {name: list(tensor.shape) for name, tensor in Yolov5("n").state_dict().items()}
    assert len(shapes) == 349
    expected = {
        "model.0.conv.weight": [16, 3, 6, 6],
        "model.4.m.1.cv2.bn.running_mean": [32],
        "model.9.cv2.conv.weight": [256, 512, 1, 1],
        "model.24.anchors": [3, 3, 2],
        "model.24.m.2.weight": [255, 256, 1, 1],
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_there_is_one_map_for_each_stride() -> None:
    maps = Yolov5("n", classes=2).eval()(torch.zeros(2, 3, 64, 96))
    assert [list(level.shape) for level in maps] == [[2, 21, 8, 12], [2, 21, 4, 6], [2, 21, 2, 3]]


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Yolov5("n"), (1, 3, 64, 64), (2, 3, 64, 64))

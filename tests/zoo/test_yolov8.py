from collections.abc import Callable

import pytest
import torch

from zoo.yolov8 import Yolov8


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("n", 3_157_200), ("s", 11_166_560), ("m", 25_902_640), ("l", 43_691_520), ("x", 68_229_648)],
)
def test_parameters_are_as_many_as_ultralytics_prints(size: str, parameters: int) -> None:
    with torch.device("meta"):
        network = Yolov8(size)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_parameters_have_the_published_names() -> None:
    shapes = {name: list(tensor.shape) for name, tensor in Yolov8("n").state_dict().items()}
    assert len(shapes) == 355
    expected = {
        "model.4.m.1.cv1.conv.weight": [32, 32, 3, 3],
        "model.12.cv1.conv.weight": [128, 384, 1, 1],
        "model.22.cv2.0.0.conv.weight": [64, 64, 3, 3],
        "model.22.cv3.2.2.weight": [80, 80, 1, 1],
        "model.22.dfl.conv.weight": [1, 16, 1, 1],
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_there_is_one_map_for_each_stride() -> None:
    maps = Yolov8("n", classes=2).eval()(torch.zeros(2, 3, 64, 96))
    assert [list(level.shape) for level in maps] == [[2, 66, 8, 12], [2, 66, 4, 6], [2, 66, 2, 3]]


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("n", 3_409_968), ("s", 11_821_056), ("m", 27_285_968), ("l", 45_997_728), ("x", 71_827_888)],
)
def test_parameters_with_masks_are_as_many_as_ultralytics_prints(size: str, parameters: int) -> None:
    with torch.device("meta"):
        network = Yolov8(size, masks=True)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_parameters_of_masks_have_the_published_names() -> None:
    shapes = {name: list(tensor.shape) for name, tensor in Yolov8("n", masks=True).state_dict().items()}
    assert len(shapes) == 417
    expected = {
        "model.22.cv4.1.0.conv.weight": [32, 128, 3, 3],
        "model.22.cv4.2.2.bias": [32],
        "model.22.proto.upsample.weight": [64, 64, 2, 2],
        "model.22.proto.cv3.bn.weight": [32],
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_masks_are_coefficients_for_each_stride_and_prototypes_at_stride_4() -> None:
    outputs = Yolov8("n", classes=2, masks=True).eval()(torch.zeros(1, 3, 64, 96))
    assert [list(output.shape[1:]) for output in outputs[3:]] == [[32, 8, 12], [32, 4, 6], [32, 2, 3], [32, 16, 24]]


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Yolov8("n"), (1, 3, 64, 64), (2, 3, 64, 64))


def test_onnx_of_masks_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Yolov8("n", masks=True), (1, 3, 64, 64), (2, 3, 64, 64))

from collections.abc import Callable

import pytest
import torch

from zoo.yolo11 import Yolo11


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("n", 2_624_080), ("s", 9_458_752), ("m", 20_114_688), ("l", 25_372_160), ("x", 56_966_176)],
)
def test_parameters_are_as_many_as_ultralytics_prints(size: str, parameters: int) -> None:
    with torch.device("meta"):
        network = Yolo11(size)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_parameters_have_the_published_names() -> None:
    shapes = {name: list(tensor.shape) for name, tensor in Yolo11("n").state_dict().items()}
    assert len(shapes) == 499
    expected = {
        "model.2.m.0.cv1.conv.weight": [8, 16, 3, 3],
        "model.6.m.0.cv3.conv.weight": [64, 64, 1, 1],
        "model.10.m.0.attn.qkv.conv.weight": [256, 128, 1, 1],
        "model.10.m.0.ffn.1.conv.weight": [128, 256, 1, 1],
        "model.23.cv3.1.0.0.conv.weight": [128, 1, 3, 3],
        "model.23.dfl.conv.weight": [1, 16, 1, 1],
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_there_is_one_map_for_each_stride() -> None:
    maps = Yolo11("n", classes=2).eval()(torch.zeros(2, 3, 64, 96))
    assert [list(level.shape) for level in maps] == [[2, 66, 8, 12], [2, 66, 4, 6], [2, 66, 2, 3]]


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("n", 2_876_848), ("s", 10_113_248), ("m", 22_420_896), ("l", 27_678_368), ("x", 62_142_656)],
)
def test_parameters_with_masks_are_as_many_as_ultralytics_prints(size: str, parameters: int) -> None:
    with torch.device("meta"):
        network = Yolo11(size, masks=True)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_parameters_of_masks_have_the_published_names() -> None:
    shapes = {name: list(tensor.shape) for name, tensor in Yolo11("n", masks=True).state_dict().items()}
    assert len(shapes) == 561
    expected = {
        "model.23.cv4.1.0.conv.weight": [32, 128, 3, 3],
        "model.23.cv4.2.2.bias": [32],
        "model.23.proto.upsample.weight": [64, 64, 2, 2],
        "model.23.proto.cv3.bn.weight": [32],
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_masks_are_coefficients_for_each_stride_and_prototypes_at_stride_4() -> None:
    outputs = Yolo11("n", classes=2, masks=True).eval()(torch.zeros(1, 3, 64, 96))
    assert [list(output.shape[1:]) for output in outputs[3:]] == [[32, 8, 12], [32, 4, 6], [32, 2, 3], [32, 16, 24]]


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Yolo11("n"), (1, 3, 64, 64), (2, 3, 64, 64))


def test_onnx_of_masks_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Yolo11("n", masks=True), (1, 3, 64, 64), (2, 3, 64, 64))

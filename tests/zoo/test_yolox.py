from collections.abc import Callable

import pytest
import torch

from zoo.yolox import Yolox


@pytest.mark.parametrize(
    ("size", "parameters"),
    [
        ("nano", 912_159),
        ("tiny", 5_055_855),
        ("s", 8_968_255),
        ("m", 25_326_495),
        ("l", 54_208_895),
        ("x", 99_071_455),
    ],
)
def test_parameters_are_as_many_as_in_the_authors_code(size: str, parameters: int) -> None:
    with torch.device("meta"):
        network = Yolox(size)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_parameters_have_the_published_names() -> None:
    shapes = {name: list(tensor.shape) for name, tensor in Yolox("s").state_dict().items()}
    expected = {
        "backbone.backbone.stem.conv.conv.weight": [32, 12, 3, 3],
        "backbone.backbone.dark3.1.m.2.conv2.bn.weight": [64],
        "backbone.backbone.dark5.1.conv2.conv.weight": [512, 1024, 1, 1],
        "backbone.C3_p4.conv1.conv.weight": [128, 512, 1, 1],
        "backbone.bu_conv1.conv.weight": [256, 256, 3, 3],
        "head.cls_preds.0.weight": [80, 128, 1, 1],
        "head.reg_convs.2.1.conv.weight": [128, 128, 3, 3],
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_the_nano_network_has_depthwise_convolutions() -> None:
    shapes = {name: list(tensor.shape) for name, tensor in Yolox("nano").state_dict().items()}
    assert shapes["backbone.bu_conv2.dconv.conv.weight"] == [64, 1, 3, 3]
    assert shapes["head.cls_convs.0.0.pconv.conv.weight"] == [64, 64, 1, 1]


def test_there_is_one_map_for_each_stride() -> None:
    maps = Yolox("nano", classes=2).eval()(torch.zeros(2, 3, 64, 96))
    assert [list(level.shape) for level in maps] == [[2, 7, 8, 12], [2, 7, 4, 6], [2, 7, 2, 3]]


def test_a_map_has_boxes_then_objectness_then_classes() -> None:
    network = Yolox("nano", classes=2).eval()
    for value, predictions in enumerate((network.head.reg_preds, network.head.obj_preds, network.head.cls_preds)):
        torch.nn.init.zeros_(predictions[0].weight)
        torch.nn.init.constant_(predictions[0].bias, value)
    assert network(torch.zeros(1, 3, 32, 32))[0][0, :, 0, 0].tolist() == [0, 0, 0, 0, 1, 2, 2]


def test_the_stem_takes_the_pixels_of_a_square_column_by_column() -> None:
    stem = Yolox("nano").backbone.backbone.stem
    stem.conv = torch.nn.Identity()
    assert stem(torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])).flatten().tolist() == [0, 2, 1, 3]


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Yolox("nano"), (1, 3, 64, 64), (2, 3, 64, 64))

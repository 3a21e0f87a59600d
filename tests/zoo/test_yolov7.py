from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from zoo.yolov7 import Yolov7, inference_form


@pytest.mark.parametrize(("tiny", "parameters"), [(False, 36_905_341), (True, 6_219_709)])
def test_parameters_are_as_many_as_wongkinyiu_prints(tiny: bool, parameters: int) -> None:
    with torch.device("meta"):
        network = Yolov7(tiny)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    # printed after each normalisation, of two parameters per channel, became one bias per channel
    merged = sum(parameter.numel() for parameter in network.parameters()) - sum(norm.num_features for norm in norms)
    assert merged == parameters


def test_parameters_have_the_names_of_wongkinyiu() -> None:
    with torch.device("meta"):
        shapes = {name: list(tensor.shape) for name, tensor in Yolov7().state_dict().items()}
    expected = {
        "model.11.conv.weight": [256, 256, 1, 1],
        "model.51.cv5.conv.weight": [512, 2048, 1, 1],
        "model.54.conv.weight": [256, 1024, 1, 1],
        "model.63.conv.weight": [256, 1024, 1, 1],
        "model.94.conv.weight": [512, 1024, 1, 1],
        "model.102.rbr_reparam.weight": [256, 128, 3, 3],
        "model.105.m.0.weight": [255, 256, 1, 1],
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_parameters_of_the_tiny_network_have_the_names_of_wongkinyiu() -> None:
    shapes = {name: list(tensor.shape) for name, tensor in Yolov7(tiny=True).state_dict().items()}
    expected = {
        "model.7.conv.weight": [64, 128, 1, 1],
        "model.37.conv.weight": [256, 512, 1, 1],
        "model.50.conv.weight": [64, 128, 1, 1],
        "model.77.m.2.weight": [255, 512, 1, 1],
    }
    assert {name: shapes.get(name) for name in expected} == expected


@pytest.mark.parametrize("tiny", [False, True])
def test_there_is_one_map_for_each_stride(tiny: bool) -> None:
    maps = Yolov7(tiny, classes=2).eval()(torch.zeros(1, 3, 32, 64))
    assert [list(level.shape) for level in maps] == [[1, 21, 4, 8], [1, 21, 2, 4], [1, 21, 1, 2]]


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Yolov7(tiny=True), (1, 3, 64, 64), (2, 3, 64, 64))


def _branch(kernel: int) -> nn.Sequential:
    branch = nn.Sequential(nn.Conv2d(2, 3, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(3, eps=1e-3))
    norm = branch[1]
    for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(values, 0.5, 1.5)
    return branch.eval()


@torch.no_grad()
def test_the_branches_of_a_repconv_become_one_convolution() -> None:
    branches = nn.ModuleDict({"rbr_dense": _branch(3), "rbr_1x1": _branch(1)})
    merged = inference_form({f"model.102.{name}": value for name, value in branches.state_dict().items()}, Yolov7(True))
    assert sorted(merged) == ["model.102.rbr_reparam.bias", "model.102.rbr_reparam.weight"]
    features = torch.randn(1, 2, 5, 5)
    result = nn.functional.conv2d(
        features, merged["model.102.rbr_reparam.weight"], merged["model.102.rbr_reparam.bias"], padding=1
    )
    torch.testing.assert_close(result, branches["rbr_dense"](features) + branches["rbr_1x1"](features))


@torch.no_grad()
def test_the_implicit_knowledge_of_the_head_goes_into_its_convolution() -> None:
    convolution, addend, factor = nn.Conv2d(4, 6, 1), torch.randn(1, 4, 1, 1), torch.randn(1, 6, 1, 1)
    published: dict[str, Tensor] = {
        "model.77.m.0.weight": convolution.weight,
        "model.77.m.0.bias": convolution.bias,
        "model.77.ia.0.implicit": addend,
        "model.77.im.0.implicit": factor,
    }
    merged = inference_form(published, Yolov7(True))
    assert sorted(merged) == ["model.77.m.0.bias", "model.77.m.0.weight"]
    features = torch.randn(1, 4, 3, 3)
    result = nn.functional.conv2d(features, merged["model.77.m.0.weight"], merged["model.77.m.0.bias"])
    torch.testing.assert_close(result, convolution(features + addend) * factor)


def test_a_checkpoint_for_inference_stays_as_it_is() -> None:
    network = Yolov7(tiny=True)
    state_dict = network.state_dict()
    assert inference_form(state_dict, network) == state_dict

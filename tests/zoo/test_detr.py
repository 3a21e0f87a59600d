import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from zoo.detr import Detr, position_encoding


def test_parameters_are_as_many_as_published() -> None:
    with torch.device("meta"):
        network = Detr()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    # the published count, 41.5 million, leaves the frozen normalisations of the backbone out
    counted = sum(parameter.numel() for parameter in network.parameters()) - sum(
        2 * norm.num_features for norm in norms
    )
    assert counted == 41_524_768


def test_parameters_have_the_published_names() -> None:
    with torch.device("meta"):
        shapes = {name: list(tensor.shape) for name, tensor in Detr().state_dict().items()}
    expected = {
        "backbone.0.body.conv1.weight": [64, 3, 7, 7],
        "backbone.0.body.layer4.2.bn3.running_var": [2048],
        "input_proj.weight": [256, 2048, 1, 1],
        "query_embed.weight": [100, 256],
        "transformer.encoder.layers.0.self_attn.in_proj_weight": [768, 256],
        "transformer.decoder.layers.5.multihead_attn.out_proj.bias": [256],
        "transformer.decoder.norm.weight": [256],
        "class_embed.weight": [92, 256],
        "bbox_embed.layers.2.weight": [4, 256],
    }
    assert {name: shapes.get(name) for name in expected} == expected


@torch.no_grad()
def test_every_query_gets_logits_and_a_box_within_the_image() -> None:
    logits, boxes = Detr(classes=3, queries=5).eval()(torch.randn(2, 3, 64, 96))
    assert logits.shape == (2, 5, 4)
    assert boxes.shape == (2, 5, 4)
    assert 0 <= boxes.min() <= boxes.max() <= 1


def test_positions_are_encoded_by_row_then_column() -> None:
    encoding = position_encoding(2, 4, torch.zeros(()))
    assert encoding.shape == (8, 256)
    row, column = 2 * math.pi * 1 / 2, 2 * math.pi * 3 / 4  # row 0 of 2, column 2 of 4
    wavelength = 10_000 ** (2 / 128)
    assert encoding[2, :4].tolist() == pytest.approx(
        [math.sin(row), math.cos(row), math.sin(row / wavelength), math.cos(row / wavelength)], abs=1e-5
    )
    assert encoding[2, 128:130].tolist() == pytest.approx([math.sin(column), math.cos(column)], abs=1e-5)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Detr(queries=10), (1, 3, 64, 96), (2, 3, 64, 96))

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from zoo.efficientdet import EfficientDet


@pytest.mark.parametrize(
    ("compound", "parameters"),
    [
        (0, 3_880_067),
        (1, 6_625_898),
        (2, 8_097_039),
        (3, 12_032_296),
        (4, 20_723_675),
        (5, 33_653_315),
        (6, 51_871_782),
    ],
)
def test_parameters_are_as_many_as_in_effdet(compound: int, parameters: int) -> None:
    with torch.device("meta"):
        network = EfficientDet(compound)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_parameters_have_the_names_of_effdet() -> None:
    shapes = {name: list(tensor.shape) for name, tensor in EfficientDet().state_dict().items()}
    expected = {
        "backbone.conv_stem.weight": [32, 3, 3, 3],
        "fpn.resample.3.conv.conv.weight": [64, 320, 1, 1],
        "fpn.cell.0.fnode.4.combine.resample.1.conv.conv.weight": [64, 112, 1, 1],
        "fpn.cell.2.fnode.5.combine.edge_weights": [3],
        "fpn.cell.2.fnode.7.after_combine.conv.conv_pw.bias": [64],
        "class_net.bn_rep.2.4.bn.running_mean": [64],
        "class_net.predict.conv_pw.weight": [810, 64, 1, 1],
        "box_net.predict.conv_pw.weight": [36, 64, 1, 1],
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_the_largest_networks_fuse_without_weights() -> None:
    with torch.device("meta"):
        names = EfficientDet(7).state_dict()
    assert "fpn.cell.0.fnode.0.after_combine.conv.bn.weight" in names
    assert not any("edge_weights" in name for name in names)


@torch.no_grad()
def test_there_are_nine_anchors_for_each_place_of_the_five_levels() -> None:
    logits, boxes = EfficientDet(classes=3).eval()(torch.zeros(2, 3, 128, 256))
    anchors = 9 * (16 * 32 + 8 * 16 + 4 * 8 + 2 * 4 + 1 * 2)
    assert logits.shape == (2, anchors, 3)
    assert boxes.shape == (2, anchors, 4)


@torch.no_grad()
def test_weights_of_a_fusion_are_clipped_at_zero_and_normalised() -> None:
    fusion = EfficientDet().fpn.cell[2].fnode[6].combine  # of sources at strides 64, 64 and 32
    fusion.edge_weights.copy_(torch.tensor([1.0, -5.0, 3.0]))
    fused = fusion([torch.full((1, 1, 2, 2), 4.0), torch.full((1, 1, 2, 2), 100.0), torch.full((1, 1, 4, 4), 8.0)])
    assert fused.flatten().tolist() == pytest.approx([(1 * 4 + 3 * 8) / 4] * 4, rel=1e-4)


class _Numbered(nn.Module):
    """36 channels whose values are 1000 * row + 100 * column + channel, of level size."""

    def forward(self, features: Tensor) -> Tensor:
        rows, columns = (torch.arange(size) for size in features.shape[2:])
        places = 1000 * rows[:, None] + 100 * columns
        return (places + torch.arange(36)[:, None, None])[None]


@torch.no_grad()
def test_anchors_come_by_level_then_row_then_column_then_anchor() -> None:
    head = EfficientDet().eval().box_net
    head.predict = _Numbered()
    boxes = head([torch.zeros(1, 64, 2, 2), *[torch.zeros(1, 64, 1, 1)] * 4])[0]
    assert boxes[:, 0].tolist()[:9] == list(range(0, 36, 4))
    assert boxes[::9, 0].tolist() == [0, 100, 1000, 1100, 0, 0, 0, 0]


def test_a_compound_coefficient_that_is_not_offered_is_refused() -> None:
    with pytest.raises(ValueError, match=r"compound is 8, not in 0\.\.7"):
        EfficientDet(8)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(EfficientDet(), (1, 3, 128, 128), (2, 3, 128, 128))

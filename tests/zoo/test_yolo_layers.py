import pytest
import torch
from torch import nn

from zoo.yolo_layers import AnchorHead, Bottleneck, Concat, DistributionHead, LayerGraph, scaled_channels, scaling_of


def test_a_size_that_is_not_published_is_refused() -> None:
    with pytest.raises(ValueError, match="size is 'q', not one of n, s"):
        scaling_of("q", {"n": 0.25, "s": 0.5})


def test_channels_are_rounded_up_to_a_multiple_of_eight() -> None:
    assert [scaled_channels(64, width) for width in (0.25, 0.3, 1.25)] == [16, 24, 80]


def test_a_layer_takes_the_one_before_it_or_its_sources_in_order() -> None:
    graph = LayerGraph([nn.Identity(), nn.ReLU(), Concat()], {2: (1, 0)})
    assert graph(torch.tensor([[-1.0, 2.0]])).tolist() == [[0, 2, -1, 2]]


def test_a_bottleneck_has_a_shortcut_only_between_equal_channels() -> None:
    assert Bottleneck(8, 8).shortcut
    assert not Bottleneck(8, 16).shortcut
    assert not Bottleneck(8, 8, shortcut=False).shortcut


def test_an_anchor_head_returns_its_convolutions_outputs_as_they_are() -> None:
    head = AnchorHead([4], classes=2, anchors={8: [(10, 13), (16, 30)]})
    (output,) = head(torch.zeros(1, 4, 3, 5))
    assert output.shape == (1, 2 * 7, 3, 5)
    assert torch.equal(output[0, :, 2, 4], head.m[0].bias)


def test_an_anchor_head_keeps_anchors_in_strides() -> None:
    head = AnchorHead([4, 4], classes=2, anchors={8: [(16, 8)], 32: [(64, 16)]})
    assert head.state_dict()["anchors"].tolist() == [[[2, 1]], [[2, 0.5]]]


def test_a_distribution_head_returns_boxes_then_classes() -> None:
    head = DistributionHead([8], 3, lambda inputs, hidden, classes: nn.Conv2d(inputs, classes, 1)).eval()
    (output,) = head(torch.zeros(1, 8, 2, 2))
    assert output.shape == (1, 4 * 16 + 3, 2, 2)
    assert torch.equal(output[0, 64:, 1, 1], head.cv3[0].bias)


def test_the_weights_of_the_distances_are_zero_to_fifteen() -> None:
    head = DistributionHead([8], 3, lambda inputs, hidden, classes: nn.Conv2d(inputs, classes, 1))
    assert head.state_dict()["dfl.conv.weight"].flatten().tolist() == list(range(16))

"""YOLOv7 and YOLOv7-tiny (Wang, Bochkovskiy and Liao, arXiv:2207.02696), in the form for inference.

Parameters have the names of github.com/WongKinYiu/yolov7; the branches of a RepConv are merged into one convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from zoo.yolo_layers import NORM_EPSILON, AnchorHead, Concat, Conv, LayerGraph

_ANCHORS = {
    8: [(12, 16), (19, 36), (40, 28)],
    16: [(36, 75), (76, 55), (72, 146)],
    32: [(142, 110), (192, 243), (459, 401)],
}
_TINY_ANCHORS = {
    8: [(10, 13), (16, 30), (33, 23)],
    16: [(30, 61), (62, 45), (59, 119)],
    32: [(116, 90), (156, 198), (373, 326)],
}


class Yolov7(LayerGraph):
    """RGB images [N, 3, H, W] in 0..1, sides multiples of 32 -> the head's maps at strides 8, 16 and 32.

    A map is [N, 3 * (5 + classes), H / stride, W / stride], as `AnchorHead` describes.
    """

    def __init__(self, tiny: bool = False, classes: int = 80) -> None:
        plan = _tiny_plan(classes) if tiny else _plan(classes)
        super().__init__(plan.layers, plan.sources)


def inference_form(state_dict: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Merge the branches of the published checkpoint that are only for training.

    A RepConv's 3x3 and 1x1 convolutions with batch normalisation become one 3x3 convolution; the head's implicit
    addends `ia` and factors `im` go into its convolutions. Other parameters are unchanged.
    """
    merged = {
        name: value
        for name, value in state_dict.items()
        if not any(part in name for part in (".rbr_dense.", ".rbr_1x1.", ".ia.", ".im.", ".anchor_grid"))
    }
    for name in state_dict:
        if name.endswith(".rbr_dense.0.weight"):
            layer = name.removesuffix(".rbr_dense.0.weight")
            weight, bias = _without_norm(state_dict, f"{layer}.rbr_dense")
            point_weight, point_bias = _without_norm(state_dict, f"{layer}.rbr_1x1")
            merged[f"{layer}.rbr_reparam.weight"] = weight + nn.functional.pad(point_weight, (1, 1, 1, 1))
            merged[f"{layer}.rbr_reparam.bias"] = bias + point_bias
        elif ".ia." in name:
            head, level = name.removesuffix(".implicit").split(".ia.")
            weight, bias = state_dict[f"{head}.m.{level}.weight"], state_dict[f"{head}.m.{level}.bias"]
            factor = state_dict[f"{head}.im.{level}.implicit"].flatten()
            addend = weight.flatten(1) @ state_dict[name].flatten()
            merged[f"{head}.m.{level}.weight"] = weight * factor.view(-1, 1, 1, 1)
            merged[f"{head}.m.{level}.bias"] = (bias + addend) * factor
    return merged


def _without_norm(state_dict: Mapping[str, Tensor], branch: str) -> tuple[Tensor, Tensor]:
    """Return the weight and bias that equal a branch's convolution `0` followed by batch normalisation `1`."""
    scale = state_dict[f"{branch}.1.weight"] * (state_dict[f"{branch}.1.running_var"] + NORM_EPSILON).rsqrt()
    bias = state_dict[f"{branch}.1.bias"] - state_dict[f"{branch}.1.running_mean"] * scale
    return state_dict[f"{branch}.0.weight"] * scale.view(-1, 1, 1, 1), bias


class SPPCSPC(nn.Module):
    """Cross-stage partial block with parallel 5x5, 9x9 and 13x13 poolings."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.cv1 = Conv(inputs, outputs)
        self.cv2 = Conv(inputs, outputs)
        self.cv3 = Conv(outputs, outputs, 3)
        self.cv4 = Conv(outputs, outputs)
        self.m = nn.ModuleList(_pooling(kernel) for kernel in (5, 9, 13))
        self.cv5 = Conv(4 * outputs, outputs)
        self.cv6 = Conv(outputs, outputs, 3)
        self.cv7 = Conv(2 * outputs, outputs)

    def forward(self, features: Tensor) -> Tensor:
        unpooled = self.cv4(self.cv3(self.cv1(features)))
        pooled = self.cv6(self.cv5(torch.cat((unpooled, *(pooling(unpooled) for pooling in self.m)), 1)))
        return self.cv7(torch.cat((pooled, self.cv2(features)), 1))


class RepConv(nn.Module):
    """A 3x3 convolution into which the branches of training are merged, and SiLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.rbr_reparam = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.act = nn.SiLU()

    def forward(self, features: Tensor) -> Tensor:
        return self.act(self.rbr_reparam(features))


def _pooling(kernel: int) -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel, stride=1, padding=kernel // 2)


class _Plan:
    """Layers in order with their sources and output channels; each method appends one and returns its number."""

    def __init__(self, activation: Callable[[], nn.Module]) -> None:
        self.activation = activation
        self.layers: list[nn.Module] = []
        self.sources: dict[int, tuple[int, ...]] = {}
        self.channels = {-1: 3}

    @property
    def last(self) -> int:
        return len(self.layers) - 1

    def add(self, layer: nn.Module, channels: int, *sources: int) -> int:
        index = len(self.layers)
        self.layers.append(layer)
        self.sources[index] = sources
        self.channels[index] = channels
        return index

    def conv(self, channels: int, kernel: int = 1, stride: int = 1, source: int | None = None) -> int:
        source = self.last if source is None else source
        layer = Conv(self.channels[source], channels, kernel, stride, activation=self.activation)
        return self.add(layer, channels, source)

    def keep_channels(self, layer: nn.Module, source: int | None = None) -> int:
        source = self.last if source is None else source
        return self.add(layer, self.channels[source], source)

    def concat(self, *sources: int) -> int:
        return self.add(Concat(), sum(self.channels[source] for source in sources), *sources)

    def halve(self, channels: int, *more: int) -> int:
        """Append a pooling and a convolution of stride 2 side by side, concatenated with each other and `more`."""
        source = self.last
        self.keep_channels(nn.MaxPool2d(2))
        pooled = self.conv(channels)
        self.conv(channels, source=source)
        strided = self.conv(channels, 3, stride=2)
        return self.concat(strided, pooled, *more)

    def aggregate(self, hidden: int, outputs: int, convs: int, conv_channels: int, kept: tuple[int, ...]) -> int:
        """Append an efficient layer aggregation block (ELAN).

        Two 1x1 convolutions and `convs` 3x3 ones after the second; those numbered in `kept` are concatenated, in order,
        and a 1x1 convolution makes the `outputs`.
        """
        source = self.last
        members = [self.conv(hidden), self.conv(hidden, source=source)]
        members += [self.conv(conv_channels, 3) for _ in range(convs)]
        self.concat(*(members[number] for number in kept))
        return self.conv(outputs)

    def join_upsampled(self, channels: int, lateral: int) -> int:
        """Append the upsampling of the last layer at `channels` channels, concatenated with those of `lateral`."""
        self.conv(channels)
        upsampled = self.keep_channels(nn.Upsample(scale_factor=2))
        return self.concat(self.conv(channels, source=lateral), upsampled)


def _plan(classes: int) -> _Plan:
    plan = _Plan(nn.SiLU)
    backbone = {"convs": 4, "kept": (5, 3, 1, 0)}
    neck = {"convs": 4, "kept": (5, 4, 3, 2, 1, 0)}
    plan.conv(32, 3)
    plan.conv(64, 3, stride=2)
    plan.conv(64, 3)
    plan.conv(128, 3, stride=2)
    plan.aggregate(64, 256, conv_channels=64, **backbone)
    plan.halve(128)
    stride8 = plan.aggregate(128, 512, conv_channels=128, **backbone)
    plan.halve(256)
    stride16 = plan.aggregate(256, 1024, conv_channels=256, **backbone)
    plan.halve(512)
    plan.aggregate(256, 1024, conv_channels=256, **backbone)
    top = plan.add(SPPCSPC(1024, 512), 512, plan.last)
    plan.join_upsampled(256, stride16)
    middle = plan.aggregate(256, 256, conv_channels=128, **neck)
    plan.join_upsampled(128, stride8)
    level8 = plan.aggregate(128, 128, conv_channels=64, **neck)
    plan.halve(128, middle)
    level16 = plan.aggregate(256, 256, conv_channels=128, **neck)
    plan.halve(256, top)
    level32 = plan.aggregate(512, 512, conv_channels=256, **neck)
    levels = [
        plan.add(RepConv(plan.channels[level], 2 * plan.channels[level]), 2 * plan.channels[level], level)
        for level in (level8, level16, level32)
    ]
    _add_head(plan, levels, classes, _ANCHORS)
    return plan


def _tiny_plan(classes: int) -> _Plan:
    plan = _Plan(lambda: nn.LeakyReLU(0.1))
    plan.conv(32, 3, stride=2)
    plan.conv(64, 3, stride=2)
    _small_aggregate(plan, 32, 64)
    plan.keep_channels(nn.MaxPool2d(2))
    stride8 = _small_aggregate(plan, 64, 128)
    plan.keep_channels(nn.MaxPool2d(2))
    stride16 = _small_aggregate(plan, 128, 256)
    plan.keep_channels(nn.MaxPool2d(2))
    source = _small_aggregate(plan, 256, 512)
    shortcut = plan.conv(256)
    unpooled = plan.conv(256, source=source)
    poolings = [plan.keep_channels(_pooling(kernel), unpooled) for kernel in (5, 9, 13)]
    plan.concat(*reversed(poolings), unpooled)
    pooled = plan.conv(256)
    plan.concat(pooled, shortcut)
    top = plan.conv(256)
    plan.join_upsampled(128, stride16)
    middle = _small_aggregate(plan, 64, 128)
    plan.join_upsampled(64, stride8)
    level8 = _small_aggregate(plan, 32, 64)
    plan.concat(plan.conv(128, 3, stride=2), middle)
    level16 = _small_aggregate(plan, 64, 128)
    plan.concat(plan.conv(256, 3, stride=2), top)
    level32 = _small_aggregate(plan, 128, 256)
    levels = [plan.conv(2 * plan.channels[level], 3, source=level) for level in (level8, level16, level32)]
    _add_head(plan, levels, classes, _TINY_ANCHORS)
    return plan


def _small_aggregate(plan: _Plan, hidden: int, outputs: int) -> int:
    return plan.aggregate(hidden, outputs, convs=2, conv_channels=hidden, kept=(3, 2, 1, 0))


def _add_head(plan: _Plan, levels: list[int], classes: int, anchors: Mapping[int, list[tuple[int, int]]]) -> None:
    plan.add(AnchorHead([plan.channels[level] for level in levels], classes, anchors), 0, *levels)

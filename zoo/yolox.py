"""YOLOX (Ge et al., arXiv:2107.08430), with the parameter names of github.com/Megvii-BaseDetection/YOLOX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from zoo.yolo_layers import Conv, scaled_repeats, scaling_of

_DEPTH_AND_WIDTH = {
    "nano": (0.33, 0.25),
    "tiny": (0.33, 0.375),
    "s": (0.33, 0.5),
    "m": (0.67, 0.75),
    "l": (1.0, 1.0),
    "x": (1.33, 1.25),
}


class Yolox(nn.Module):
    """Images [N, 3, H, W], sides multiples of 32 -> the head's maps at strides 8, 16 and 32.

    The published checkpoints take BGR in 0..255. A map is [N, 4 + 1 + classes, H / stride, W / stride]: x and y from
    the cell's corner and the logarithms of width and height, all in strides; the logits of objectness and classes.
    """

    def __init__(self, size: Literal["nano", "tiny", "s", "m", "l", "x"], classes: int = 80) -> None:
        super().__init__()
        depth, width = scaling_of(size, _DEPTH_AND_WIDTH)
        channels = [int(count * width) for count in (64, 128, 256, 512, 1024)]
        depthwise = size == "nano"
        self.backbone = _PyramidNetwork(channels, scaled_repeats(3, depth), depthwise)
        self.head = _Head(channels[2:], int(256 * width), classes, depthwise)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.head(self.backbone(image))


class _PyramidNetwork(nn.Module):
    """The backbone and, on top of it, paths from deep to shallow levels and back."""

    def __init__(self, channels: Sequence[int], repeats: int, depthwise: bool) -> None:
        super().__init__()
        _, _, c256, c512, c1024 = channels
        self.backbone = _Backbone(channels, repeats, depthwise)
        self.upsample = nn.Upsample(scale_factor=2)
        self.lateral_conv0 = Conv(c1024, c512)
        self.C3_p4 = _CspLayer(2 * c512, c512, repeats, depthwise, shortcut=False)
        self.reduce_conv1 = Conv(c512, c256)
        self.C3_p3 = _CspLayer(2 * c256, c256, repeats, depthwise, shortcut=False)
        self.bu_conv2 = _conv3x3(c256, c256, depthwise, stride=2)
        self.C3_n3 = _CspLayer(2 * c256, c512, repeats, depthwise, shortcut=False)
        self.bu_conv1 = _conv3x3(c512, c512, depthwise, stride=2)
        self.C3_n4 = _CspLayer(2 * c512, c1024, repeats, depthwise, shortcut=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stride8, stride16, stride32 = self.backbone(image)
        lateral32 = self.lateral_conv0(stride32)
        lateral16 = self.reduce_conv1(self.C3_p4(torch.cat((self.upsample(lateral32), stride16), 1)))
        level8 = self.C3_p3(torch.cat((self.upsample(lateral16), stride8), 1))
        level16 = self.C3_n3(torch.cat((self.bu_conv2(level8), lateral16), 1))
        level32 = self.C3_n4(torch.cat((self.bu_conv1(level16), lateral32), 1))
        return level8, level16, level32


class _Backbone(nn.Module):
    def __init__(self, channels: Sequence[int], repeats: int, depthwise: bool) -> None:
        super().__init__()
        c64, c128, c256, c512, c1024 = channels
        self.stem = _Focus(c64)
        self.dark2 = nn.Sequential(_conv3x3(c64, c128, depthwise, stride=2), _CspLayer(c128, c128, repeats, depthwise))
        self.dark3 = nn.Sequential(
            _conv3x3(c128, c256, depthwise, stride=2), _CspLayer(c256, c256, 3 * repeats, depthwise)
        )
        self.dark4 = nn.Sequential(
            _conv3x3(c256, c512, depthwise, stride=2), _CspLayer(c512, c512, 3 * repeats, depthwise)
        )
        self.dark5 = nn.Sequential(
            _conv3x3(c512, c1024, depthwise, stride=2),
            _PoolingPyramid(c1024),
            _CspLayer(c1024, c1024, repeats, depthwise, shortcut=False),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stride8 = self.dark3(self.dark2(self.stem(image)))
        stride16 = self.dark4(stride8)
        return stride8, stride16, self.dark5(stride16)


class _Focus(nn.Module):
    """Each 2x2 pixels to the channels of one, then a convolution."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv = Conv(12, outputs, 3)

    def forward(self, image: Tensor) -> Tensor:
        even_rows, odd_rows = image[..., ::2, :], image[..., 1::2, :]
        quarters = (even_rows[..., ::2], odd_rows[..., ::2], even_rows[..., 1::2], odd_rows[..., 1::2])
        return self.conv(torch.cat(quarters, 1))


class _PoolingPyramid(nn.Module):
    """Parallel 5x5, 9x9 and 13x13 poolings of half of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 2
        self.conv1 = Conv(channels, hidden)
        self.m = nn.ModuleList(nn.MaxPool2d(kernel, stride=1, padding=kernel // 2) for kernel in (5, 9, 13))
        self.conv2 = Conv(4 * hidden, channels)

    def forward(self, features: Tensor) -> Tensor:
        unpooled = self.conv1(features)
        return self.conv2(torch.cat((unpooled, *(pooling(unpooled) for pooling in self.m)), 1))


class _CspLayer(nn.Module):
    """Cross-stage partial block: bottlenecks on half of the channels, three convolutions around them."""

    def __init__(self, inputs: int, outputs: int, repeats: int, depthwise: bool, shortcut: bool = True) -> None:
        super().__init__()
        hidden = outputs // 2
        self.conv1 = Conv(inputs, hidden)
        self.conv2 = Conv(inputs, hidden)
        self.conv3 = Conv(2 * hidden, outputs)
        self.m = nn.Sequential(*(_Bottleneck(hidden, depthwise, shortcut) for _ in range(repeats)))

    def forward(self, features: Tensor) -> Tensor:
        return self.conv3(torch.cat((self.m(self.conv1(features)), self.conv2(features)), 1))


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, depthwise: bool, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels)
        self.conv2 = _conv3x3(channels, channels, depthwise)
        self.shortcut = shortcut

    def forward(self, features: Tensor) -> Tensor:
        result = self.conv2(self.conv1(features))
        return features + result if self.shortcut else result


class _SeparableConv(nn.Module):
    """A depthwise 3x3 and a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.dconv = Conv(inputs, inputs, 3, stride, groups=inputs)
        self.pconv = Conv(inputs, outputs)

    def forward(self, features: Tensor) -> Tensor:
        return self.pconv(self.dconv(features))


def _conv3x3(inputs: int, outputs: int, depthwise: bool, stride: int = 1) -> nn.Module:
    return _SeparableConv(inputs, outputs, stride) if depthwise else Conv(inputs, outputs, 3, stride)


class _Head(nn.Module):
    """Separate branches for boxes with objectness and for classes, at each level."""

    def __init__(self, channels: Sequence[int], hidden: int, classes: int, depthwise: bool) -> None:
        super().__init__()
        self.stems = nn.ModuleList(Conv(inputs, hidden) for inputs in channels)
        self.cls_convs = nn.ModuleList(_branch(hidden, depthwise) for _ in channels)
        self.reg_convs = nn.ModuleList(_branch(hidden, depthwise) for _ in channels)
        self.cls_preds = nn.ModuleList(nn.Conv2d(hidden, classes, 1) for _ in channels)
        self.reg_preds = nn.ModuleList(nn.Conv2d(hidden, 4, 1) for _ in channels)
        self.obj_preds = nn.ModuleList(nn.Conv2d(hidden, 1, 1) for _ in channels)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        maps = []
        for index, level in enumerate(levels):
            features = self.stems[index](level)
            of_boxes = self.reg_convs[index](features)
            of_classes = self.cls_convs[index](features)
            predictions = (
                self.reg_preds[index](of_boxes),
                self.obj_preds[index](of_boxes),
                self.cls_preds[index](of_classes),
            )
            maps.append(torch.cat(predictions, 1))
        return tuple(maps)


def _branch(channels: int, depthwise: bool) -> nn.Sequential:
    return nn.Sequential(_conv3x3(channels, channels, depthwise), _conv3x3(channels, channels, depthwise))

"""YOLO11 (github.com/ultralytics/ultralytics), with the parameter names of its published checkpoints."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from zoo.yolo_layers import (
    C3,
    SPPF,
    Bottleneck,
    C2f,
    Concat,
    Conv,
    DistributionHead,
    LayerGraph,
    MaskHead,
    scaled_channels,
    scaled_repeats,
    scaling_of,
)

_DEPTH_WIDTH_AND_MOST_CHANNELS = {
    "n": (0.5, 0.25, 1024),
    "s": (0.5, 0.5, 1024),
    "m": (0.5, 1.0, 512),
    "l": (1.0, 1.0, 512),
    "x": (1.0, 1.5, 512),
}
_SMALL_SIZES = ("n", "s")
_HEAD_CHANNELS = 64


class Yolo11(LayerGraph):
    """RGB images [N, 3, H, W] in 0..1, sides multiples of 32 -> the head's maps at strides 8, 16 and 32.

    A map is [N, 4 * 16 + classes, H / stride, W / stride], as `DistributionHead` describes. With `masks` there follow
    the coefficients of each cell's mask and the prototypes, as `MaskHead` describes.
    """

    def __init__(self, size: Literal["n", "s", "m", "l", "x"], classes: int = 80, masks: bool = False) -> None:
        depth, width, most = scaling_of(size, _DEPTH_WIDTH_AND_MOST_CHANNELS)
        c64, c128, c256, c512, c1024 = (
            scaled_channels(min(channels, most), width) for channels in (64, 128, 256, 512, 1024)
        )
        two = scaled_repeats(2, depth)
        nested = size not in _SMALL_SIZES  # the small sizes nest C3 blocks at the deepest levels only
        head = MaskHead if masks else DistributionHead
        layers = [
            Conv(3, c64, 3, stride=2),
            Conv(c64, c128, 3, stride=2),
            _c3k2(c128, c256, two, nested, hidden=c256 // 4),
            Conv(c256, c256, 3, stride=2),
            _c3k2(c256, c512, two, nested, hidden=c512 // 4),
            Conv(c512, c512, 3, stride=2),
            _c3k2(c512, c512, two, nested=True),
            Conv(c512, c1024, 3, stride=2),
            _c3k2(c1024, c1024, two, nested=True),
            SPPF(c1024, c1024),
            C2PSA(c1024, two),
            nn.Upsample(scale_factor=2),
            Concat(),
            _c3k2(c1024 + c512, c512, two, nested),
            nn.Upsample(scale_factor=2),
            Concat(),
            _c3k2(c512 + c512, c256, two, nested),
            Conv(c256, c256, 3, stride=2),
            Concat(),
            _c3k2(c256 + c512, c512, two, nested),
            Conv(c512, c512, 3, stride=2),
            Concat(),
            _c3k2(c512 + c1024, c1024, two, nested=True),
            head((c256, c512, c1024), classes, _class_branch),
        ]
        super().__init__(layers, {12: (11, 6), 15: (14, 4), 18: (17, 13), 21: (20, 10), 23: (16, 19, 22)})


def _c3k2(inputs: int, outputs: int, repeats: int, nested: bool, hidden: int | None = None) -> C2f:
    """Return a C2f block (half of the outputs hidden by default) of C3 blocks where `nested`, else of bottlenecks."""
    hidden = outputs // 2 if hidden is None else hidden
    blocks = (
        C3(hidden, hidden, repeats=2, first_kernel=3) if nested else Bottleneck(hidden, hidden, first_kernel=3)
        for _ in range(repeats)
    )
    return C2f(inputs, outputs, hidden, blocks)


def _class_branch(inputs: int, hidden: int, classes: int) -> nn.Sequential:
    return nn.Sequential(_separable(inputs, hidden), _separable(hidden, hidden), nn.Conv2d(hidden, classes, 1))


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(Conv(inputs, inputs, 3, groups=inputs), Conv(inputs, outputs))


class C2PSA(nn.Module):
    """Cross-stage partial block with self-attention over all positions on half of the channels."""

    def __init__(self, channels: int, repeats: int) -> None:
        super().__init__()
        self.hidden = channels // 2
        self.cv1 = Conv(channels, 2 * self.hidden)
        self.cv2 = Conv(2 * self.hidden, channels)
        self.m = nn.Sequential(*(_AttentionBlock(self.hidden) for _ in range(repeats)))

    def forward(self, features: Tensor) -> Tensor:
        kept, attended = self.cv1(features).split(self.hidden, 1)
        return self.cv2(torch.cat((kept, self.m(attended)), 1))


class _AttentionBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attn = _Attention(channels, heads=channels // _HEAD_CHANNELS)
        self.ffn = nn.Sequential(Conv(channels, 2 * channels), Conv(2 * channels, channels, activation=nn.Identity))

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.attn(features)
        return features + self.ffn(features)


class _Attention(nn.Module):
    """Multi-head self-attention, keys half as wide as values, plus a depthwise convolution of the values."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.value_channels = channels // heads
        self.key_channels = self.value_channels // 2
        self.qkv = Conv(channels, channels + 2 * heads * self.key_channels, activation=nn.Identity)
        self.proj = Conv(channels, channels, activation=nn.Identity)
        self.pe = Conv(channels, channels, 3, groups=channels, activation=nn.Identity)

    def forward(self, features: Tensor) -> Tensor:
        by_head = self.qkv(features).flatten(2).unflatten(1, (self.heads, -1))
        query, key, value = by_head.split((self.key_channels, self.key_channels, self.value_channels), 2)
        weights = (query.transpose(-2, -1) @ key * self.key_channels**-0.5).softmax(-1)
        attended = (value @ weights.transpose(-2, -1)).reshape(features.shape)
        return self.proj(attended + self.pe(value.reshape(features.shape)))

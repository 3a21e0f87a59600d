"""DDRNet-23, semantic segmentation of road scenes at two resolutions (Hong et al., arXiv:2101.06085).

Parameters have the names of github.com/ydhongHIT/DDRNet, without seghead_extra, which only training uses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_POOLS = ((5, 2), (9, 4), (17, 8))
"""Kernel size and stride of each average pooling of the pyramid."""
_PYRAMID_WIDTH = 128


class Ddrnet(nn.Module):
    """RGB pictures [N, 3, H, W] -> logits [N, classes, H, W]; H and W are multiples of 64.

    `width` is 32 for DDRNet-23-slim and 64 for DDRNet-23.
    """

    def __init__(self, classes: int = 19, width: int = 32) -> None:
        super().__init__()
        fine = 2 * width
        self.conv1 = nn.Sequential(*_strided_stem(3, width), *_strided_stem(width, width))
        self.layer1 = _basic_blocks(width, width)
        self.layer2 = _basic_blocks(width, 2 * width, stride=2)
        self.layer3 = _basic_blocks(2 * width, 4 * width, stride=2)
        self.layer4 = _basic_blocks(4 * width, 8 * width, stride=2)
        self.layer5 = nn.Sequential(_Bottleneck(8 * width, stride=2))
        self.layer3_ = _basic_blocks(fine, fine)
        self.layer4_ = _basic_blocks(fine, fine)
        self.layer5_ = nn.Sequential(_Bottleneck(fine))
        self.compression3 = _conv_norm(4 * width, fine, kernel_size=1)
        self.compression4 = _conv_norm(8 * width, fine, kernel_size=1)
        self.down3 = _conv_norm(fine, 4 * width, stride=2)
        self.down4 = nn.Sequential(
            *_conv_norm(fine, 4 * width, stride=2), nn.ReLU(), *_conv_norm(4 * width, 8 * width, stride=2)
        )
        self.spp = _PyramidPooling(16 * width, 4 * width)
        self.final_layer = _Head(4 * width, 2 * width, classes)
        self.enlarging = nn.Upsample(scale_factor=8, mode="bilinear", align_corners=False)

    def forward(self, pictures: Tensor) -> Tensor:
        shared = self.layer2(self.layer1(self.conv1(pictures)).relu()).relu()
        coarse, fine = self.layer3(shared), self.layer3_(shared)
        coarse, fine = (
            (coarse + self.down3(fine.relu())).relu(),
            (fine + _resized(self.compression3(coarse.relu()), fine)).relu(),
        )
        coarse, fine = self.layer4(coarse), self.layer4_(fine)
        coarse, fine = (
            (coarse + self.down4(fine.relu())).relu(),
            (fine + _resized(self.compression4(coarse.relu()), fine)).relu(),
        )
        detail = self.layer5_(fine)
        context = _resized(self.spp(self.layer5(coarse)), detail)
        return self.enlarging(self.final_layer(context + detail))


class _BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1, ends_with_relu: bool = True) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, outputs, stride=stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = _conv(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride > 1 or inputs != outputs:
            self.downsample = _conv_norm(inputs, outputs, kernel_size=1, stride=stride)
        else:
            self.downsample = nn.Identity()
        self.ends_with_relu = ends_with_relu

    def forward(self, features: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(self.bn1(self.conv1(features)).relu()))
        summed = residual + self.downsample(features)
        return summed.relu() if self.ends_with_relu else summed


class _Bottleneck(nn.Module):
    """Doubles the channels; there is no ReLU after the sum."""

    def __init__(self, inputs: int, stride: int = 1) -> None:
        super().__init__()
        outputs = 2 * inputs
        self.conv1 = _conv(inputs, inputs, kernel_size=1)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv2 = _conv(inputs, inputs, stride=stride)
        self.bn2 = nn.BatchNorm2d(inputs)
        self.conv3 = _conv(inputs, outputs, kernel_size=1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _conv_norm(inputs, outputs, kernel_size=1, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(self.bn1(self.conv1(features)).relu())).relu()
        return self.bn3(self.conv3(residual)) + self.downsample(features)


class _PyramidPooling(nn.Module):
    """Deep aggregation pyramid pooling: each coarser average is added to the finer one before its convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        poolings = [nn.AvgPool2d(size, stride, padding=size // 2) for size, stride in _POOLS]
        poolings.append(nn.AdaptiveAvgPool2d(1))
        self.scale0 = _norm_conv(inputs, _PYRAMID_WIDTH, kernel_size=1)
        for number, pooling in enumerate(poolings, 1):
            self.add_module(
                f"scale{number}", nn.Sequential(pooling, *_norm_conv(inputs, _PYRAMID_WIDTH, kernel_size=1))
            )
            self.add_module(f"process{number}", _norm_conv(_PYRAMID_WIDTH, _PYRAMID_WIDTH))
        self.compression = _norm_conv((len(poolings) + 1) * _PYRAMID_WIDTH, outputs, kernel_size=1)
        self.shortcut = _norm_conv(inputs, outputs, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        scales = [self.scale0(features)]
        for number in range(1, len(_POOLS) + 2):
            coarser = _resized(self.get_submodule(f"scale{number}")(features), features)
            scales.append(self.get_submodule(f"process{number}")(coarser + scales[-1]))
        return self.compression(torch.cat(scales, dim=1)) + self.shortcut(features)


class _Head(nn.Module):
    def __init__(self, inputs: int, width: int, classes: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = _conv(inputs, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, classes, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv2(self.bn2(self.conv1(self.bn1(features).relu())).relu())


def _basic_blocks(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return two blocks, the last without its ReLU, as the two resolutions exchange features before it."""
    return nn.Sequential(_BasicBlock(inputs, outputs, stride), _BasicBlock(outputs, outputs, ends_with_relu=False))


def _strided_stem(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def _conv_norm(inputs: int, outputs: int, kernel_size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, outputs, kernel_size, stride), nn.BatchNorm2d(outputs))


def _norm_conv(inputs: int, outputs: int, kernel_size: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), _conv(inputs, outputs, kernel_size))


def _conv(inputs: int, outputs: int, kernel_size: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size, stride, padding=kernel_size // 2, bias=False)


def _resized(features: Tensor, like: Tensor) -> Tensor:
    return nn.functional.interpolate(features, size=like.shape[2:], mode="bilinear", align_corners=False)

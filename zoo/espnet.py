"""ESPNet, semantic segmentation with efficient spatial pyramids (Mehta et al., ECCV 2018).

Parameters have the names of github.com/sacmehta/ESPNet.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import accumulate

import torch
from torch import Tensor, nn

_DILATIONS = (1, 2, 4, 8, 16)


class Espnet(nn.Module):
    """Pictures [N, 3, H, W] -> logits [N, classes, H, W]; H and W are multiples of 8.

    `p` and `q` are the numbers of pyramids at a quarter and at an eighth of the size (alpha 2 and 3 in the paper).
    """

    def __init__(self, classes: int = 12, p: int = 2, q: int = 8) -> None:
        super().__init__()
        self.encoder = _Encoder(classes, p, q)
        self.level3_C = _named_conv(nn.Conv2d(131, classes, kernel_size=1, bias=False))
        self.br = nn.BatchNorm2d(classes, eps=1e-3)
        self.conv = _ConvNormPrelu(19 + classes, classes, stride=1)
        self.up_l3 = nn.Sequential(_doubling(classes))
        self.combine_l2_l3 = nn.Sequential(_NormPrelu(2 * classes), _Pyramid(2 * classes, classes, residual=False))
        self.up_l2 = nn.Sequential(_doubling(classes), _NormPrelu(classes))
        self.classifier = _doubling(classes)

    def forward(self, pictures: Tensor) -> Tensor:
        half, quarter, eighth = self.encoder(pictures)
        coarse = self.up_l3(self.br(self.encoder.classifier(eighth)))
        combined = self.combine_l2_l3(torch.cat([self.level3_C(quarter), coarse], dim=1))
        return self.classifier(self.conv(torch.cat([self.up_l2(combined), half], dim=1)))


class _Encoder(nn.Module):
    """Pictures -> features [N, 19, H/2, W/2], [N, 131, H/4, W/4] and [N, 256, H/8, W/8]."""

    def __init__(self, classes: int, p: int, q: int) -> None:
        super().__init__()
        self.level1 = _ConvNormPrelu(3, 16, stride=2)
        self.halving = nn.AvgPool2d(3, stride=2, padding=1)
        self.b1 = _NormPrelu(16 + 3)
        self.level2_0 = _HalvingPyramid(16 + 3, 64)
        self.level2 = nn.Sequential(*(_Pyramid(64, 64) for _ in range(p)))
        self.b2 = _NormPrelu(2 * 64 + 3)
        self.level3_0 = _HalvingPyramid(2 * 64 + 3, 128)
        self.level3 = nn.Sequential(*(_Pyramid(128, 128) for _ in range(q)))
        self.b3 = _NormPrelu(2 * 128)
        self.classifier = _named_conv(nn.Conv2d(2 * 128, classes, kernel_size=1, bias=False))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        half_picture = self.halving(pictures)
        half = self.b1(torch.cat([self.level1(pictures), half_picture], dim=1))
        first = self.level2_0(half)
        quarter = self.b2(torch.cat([self.level2(first), first, self.halving(half_picture)], dim=1))
        second = self.level3_0(quarter)
        return half, quarter, self.b3(torch.cat([second, self.level3(second)], dim=1))


class _NormPrelu(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)
        self.act = nn.PReLU(channels)

    def forward(self, features: Tensor) -> Tensor:
        return self.act(self.bn(features))


class _ConvNormPrelu(_NormPrelu):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(outputs)
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(self.conv(features))


class _Branches(nn.Module):
    """Reduce the channels to a fifth, convolve with five dilations, sum the four dilated results cumulatively."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        width = outputs // 5
        self.c1 = _named_conv(nn.Conv2d(inputs, width, kernel_size, stride, kernel_size // 2, bias=False))
        for dilation in _DILATIONS:
            # The first branch takes the channels that five equal branches would leave over.
            channels = outputs - 4 * width if dilation == 1 else width
            conv = nn.Conv2d(width, channels, kernel_size=3, padding=dilation, dilation=dilation, bias=False)
            self.add_module(f"d{dilation}", _named_conv(conv))

    def branches(self, features: Tensor) -> Tensor:
        reduced = self.c1(features)
        first, *dilated = (self.get_submodule(f"d{dilation}")(reduced) for dilation in _DILATIONS)
        return torch.cat([first, *accumulate(dilated)], dim=1)


class _HalvingPyramid(_Branches):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel_size=3, stride=2)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)
        self.act = nn.PReLU(outputs)

    def forward(self, features: Tensor) -> Tensor:
        return self.act(self.bn(self.branches(features)))


class _Pyramid(_Branches):
    def __init__(self, inputs: int, outputs: int, residual: bool = True) -> None:
        super().__init__(inputs, outputs, kernel_size=1, stride=1)
        self.residual = residual
        self.bn = _NormPrelu(outputs)

    def forward(self, features: Tensor) -> Tensor:
        combined = self.branches(features)
        return self.bn(features + combined if self.residual else combined)


def _named_conv(conv: nn.Conv2d) -> nn.Sequential:
    """Return the convolution under the name `conv`, as published."""
    return nn.Sequential(OrderedDict(conv=conv))


def _doubling(channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, channels, kernel_size=2, stride=2, bias=False)

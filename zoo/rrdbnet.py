"""RRDBNet, the generator of ESRGAN (Wang et al., ECCV Workshops 2018) and Real-ESRGAN (ICCV Workshops 2021).

Parameters have the names of github.com/XPixelGroup/BasicSR.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_WIDTH = 64
_GROWTH = 32
_RESIDUAL_SCALE = 0.2
_ENLARGEMENT = 4


class RrdbNet(nn.Module):
    """RGB pictures [N, 3, H, W] in 0..1 -> pictures [N, 3, scale * H, scale * W], not clamped to 0..1.

    `blocks` is 23, or 6 in Real-ESRGAN's network for anime. For `scale` 2, H and W are even; for 1, multiples of 4.

    Raises:
        ValueError: `scale` is none of 1, 2 and 4.
    """

    def __init__(self, scale: int = 4, blocks: int = 23) -> None:
        super().__init__()
        if scale not in (1, 2, 4):
            raise ValueError(f"scale is {scale}, not one of 1, 2, 4")
        self.shrinkage = _ENLARGEMENT // scale
        self.conv_first = _conv(3 * self.shrinkage**2, _WIDTH)
        self.body = nn.Sequential(*(_ResidualInResidual() for _ in range(blocks)))
        self.conv_body = _conv(_WIDTH, _WIDTH)
        self.conv_up1 = _conv(_WIDTH, _WIDTH)
        self.conv_up2 = _conv(_WIDTH, _WIDTH)
        self.conv_hr = _conv(_WIDTH, _WIDTH)
        self.conv_last = _conv(_WIDTH, 3)
        self.doubling = nn.Upsample(scale_factor=2)
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, pictures: Tensor) -> Tensor:
        small = nn.functional.pixel_unshuffle(pictures, self.shrinkage) if self.shrinkage > 1 else pictures
        shallow = self.conv_first(small)
        features = shallow + self.conv_body(self.body(shallow))
        features = self.activation(self.conv_up1(self.doubling(features)))
        features = self.activation(self.conv_up2(self.doubling(features)))
        return self.conv_last(self.activation(self.conv_hr(features)))


class _ResidualInResidual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = _DenseBlock(), _DenseBlock(), _DenseBlock()

    def forward(self, features: Tensor) -> Tensor:
        return features + _RESIDUAL_SCALE * self.rdb3(self.rdb2(self.rdb1(features)))


class _DenseBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for number in range(1, 6):
            outputs = _GROWTH if number < 5 else _WIDTH
            self.add_module(f"conv{number}", _conv(_WIDTH + (number - 1) * _GROWTH, outputs))
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, features: Tensor) -> Tensor:
        dense = features
        for number in range(1, 5):
            grown = self.activation(self.get_submodule(f"conv{number}")(dense))
            dense = torch.cat([dense, grown], dim=1)
        return features + _RESIDUAL_SCALE * self.conv5(dense)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)

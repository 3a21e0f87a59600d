"""The SRGAN generator (Ledig et al., CVPR 2017) with five residual blocks, as in github.com/leftthomas/SRGAN.

Parameters have the names used there.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

_CHANNELS = 64
_RESIDUAL_BLOCKS = range(2, 7)


class SrganGenerator(nn.Module):
    """RGB pictures [N, 3, H, W] in 0..1 -> pictures [N, 3, scale * H, scale * W] in 0..1.

    Raises:
        ValueError: `scale` is not a power of two above 1.
    """

    def __init__(self, scale: int = 2) -> None:
        super().__init__()
        if scale < 2 or scale & (scale - 1):
            raise ValueError(f"scale is {scale}, not a power of two above 1")
        self.block1 = nn.Sequential(nn.Conv2d(3, _CHANNELS, kernel_size=9, padding=4), nn.PReLU())
        for number in _RESIDUAL_BLOCKS:
            self.add_module(f"block{number}", _ResidualBlock())
        self.block7 = nn.Sequential(
            nn.Conv2d(_CHANNELS, _CHANNELS, kernel_size=3, padding=1), nn.BatchNorm2d(_CHANNELS)
        )
        self.block8 = nn.Sequential(
            *(_Upsampling() for _ in range(int(math.log2(scale)))),
            nn.Conv2d(_CHANNELS, 3, kernel_size=9, padding=4),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        shallow = self.block1(pictures)
        deep = shallow
        for number in _RESIDUAL_BLOCKS:
            deep = self.get_submodule(f"block{number}")(deep)
        return (self.block8(shallow + self.block7(deep)).tanh() + 1) / 2


class _ResidualBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(_CHANNELS, _CHANNELS, kernel_size=3, padding=1)
        self.bn1 = nn.BatchNorm2d(_CHANNELS)
        self.prelu = nn.PReLU()
        self.conv2 = nn.Conv2d(_CHANNELS, _CHANNELS, kernel_size=3, padding=1)
        self.bn2 = nn.BatchNorm2d(_CHANNELS)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.bn2(self.conv2(self.prelu(self.bn1(self.conv1(features)))))


class _Upsampling(nn.Module):
    """Doubles height and width."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(_CHANNELS, 4 * _CHANNELS, kernel_size=3, padding=1)
        self.pixel_shuffle = nn.PixelShuffle(2)
        self.prelu = nn.PReLU()

    def forward(self, features: Tensor) -> Tensor:
        return self.prelu(self.pixel_shuffle(self.conv(features)))

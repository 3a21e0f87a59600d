"""EDSR, super-resolution (Lim et al., CVPR Workshops 2017), and parts that RCAN shares.

Parameters have the names of github.com/sanghyun-son/EDSR-PyTorch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
_PIXEL_MAX = 255


class Edsr(nn.Module):
    """RGB pictures [N, 3, H, W] in 0..255 -> pictures [N, 3, scale * H, scale * W] in that range, not clamped.

    `full` is the paper's EDSR (32 blocks of 256 channels); otherwise its baseline (16 of 64).

    Raises:
        ValueError: `scale` is none of 2, 3 and 4.
    """

    def __init__(self, scale: int = 2, full: bool = False) -> None:
        super().__init__()
        blocks, width, residual_scale = (32, 256, 0.1) if full else (16, 64, 1.0)
        self.sub_mean = mean_shift(-1)
        self.head = nn.Sequential(conv(3, width))
        self.body = nn.Sequential(*(_ResidualBlock(width, residual_scale) for _ in range(blocks)), conv(width, width))
        self.tail = nn.Sequential(upsampler(scale, width), conv(width, 3))
        self.add_mean = mean_shift(1)

    def forward(self, pictures: Tensor) -> Tensor:
        shallow = self.head(self.sub_mean(pictures))
        return self.add_mean(self.tail(shallow + self.body(shallow)))


class _ResidualBlock(nn.Module):
    def __init__(self, width: int, residual_scale: float) -> None:
        super().__init__()
        self.residual_scale = residual_scale
        self.body = nn.Sequential(conv(width, width), nn.ReLU(), conv(width, width))

    def forward(self, features: Tensor) -> Tensor:
        return features + self.residual_scale * self.body(features)


def mean_shift(sign: int) -> nn.Conv2d:
    """Return a fixed 1x1 convolution that adds the mean colour of DIV2K in 0..255, or with `sign` -1 subtracts it."""
    shift = nn.Conv2d(3, 3, kernel_size=1).requires_grad_(False)
    shift.weight.copy_(torch.eye(3)[:, :, None, None])
    shift.bias.copy_(sign * _PIXEL_MAX * torch.tensor(_DIV2K_MEAN))
    return shift


def conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps height and width."""
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)


def upsampler(scale: int, width: int) -> nn.Sequential:
    """Return convolutions and pixel shuffles that enlarge height and width 2, 3 or 4 times.

    Raises:
        ValueError: `scale` is none of these.
    """
    steps = {2: [2], 3: [3], 4: [2, 2]}.get(scale)
    if steps is None:
        raise ValueError(f"scale is {scale}, not one of 2, 3, 4")
    return nn.Sequential(*(layer for step in steps for layer in (conv(width, step**2 * width), nn.PixelShuffle(step))))

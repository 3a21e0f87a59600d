"""ESPCN, super-resolution with a sub-pixel convolution (Shi et al., CVPR 2016).

Parameters have the names of github.com/yjn870/ESPCN-pytorch.
"""

from __future__ import annotations

from torch import Tensor, nn


class Espcn(nn.Module):
    """Luma [N, channels, H, W] in 0..1 -> luma [N, channels, scale * H, scale * W], not clamped to 0..1."""

    def __init__(self, scale: int = 3, channels: int = 1) -> None:
        super().__init__()
        self.first_part = nn.Sequential(
            nn.Conv2d(channels, 64, kernel_size=5, padding=2),
            nn.Tanh(),
            nn.Conv2d(64, 32, kernel_size=3, padding=1),
            nn.Tanh(),
        )
        self.last_part = nn.Sequential(
            nn.Conv2d(32, channels * scale**2, kernel_size=3, padding=1),
            nn.PixelShuffle(scale),
        )

    def forward(self, luma: Tensor) -> Tensor:
        return self.last_part(self.first_part(luma))

"""SRCNN 9-5-5, super-resolution of pictures enlarged beforehand (Dong et al., IEEE TPAMI 2016).

Parameters have the names of github.com/yjn870/SRCNN-pytorch.
"""

from __future__ import annotations

from torch import Tensor, nn


class Srcnn(nn.Module):
    """Bicubically enlarged luma [N, channels, H, W] in 0..1 -> sharp luma of that shape, not clamped to 0..1."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, kernel_size=9, padding=4)
        self.conv2 = nn.Conv2d(64, 32, kernel_size=5, padding=2)
        self.conv3 = nn.Conv2d(32, channels, kernel_size=5, padding=2)

    def forward(self, luma: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(luma).relu()).relu())

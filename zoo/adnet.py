"""ADNet, a denoiser of grey pictures guided by attention (Tian et al., Neural Networks 124, 2020).

Parameters have the names of github.com/hellloxiaotian/ADNet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_CHANNELS = 64
_LAYERS = 15
_DILATED_LAYERS = {2, 5, 9, 12}
"""Layers of the sparse block with dilation 2 (section 3.2 of the paper)."""


class Adnet(nn.Module):
    """Noisy pictures [N, channels, H, W] in 0..1 -> clean pictures of that shape, not clamped to 0..1."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        for layer in range(1, _LAYERS + 1):
            dilation = 2 if layer in _DILATED_LAYERS else 1
            inputs = channels if layer == 1 else _CHANNELS
            self.add_module(f"conv1_{layer}", _convolution(inputs, dilation))
        self.conv1_16 = nn.Conv2d(_CHANNELS, channels, kernel_size=3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(2 * channels, channels, kernel_size=1)

    def forward(self, noisy: Tensor) -> Tensor:
        features = noisy
        for layer in range(1, _LAYERS + 1):
            features = self.get_submodule(f"conv1_{layer}")(features)
        noise = self.conv1_16(features)
        attention = self.conv3(torch.cat([noisy, noise], dim=1).tanh())
        return noisy - attention * noise


def _convolution(inputs: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, _CHANNELS, kernel_size=3, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(_CHANNELS),
        nn.ReLU(),
    )

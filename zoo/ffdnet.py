"""FFDNet, a denoiser that is told the level of noise (Zhang et al., IEEE TIP 2018).

Parameters have the names of github.com/cszn/KAIR.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SIZES = {1: (15, 64), 3: (12, 96)}
"""Layers and width for grey and for RGB pictures (table I of the paper)."""


class Ffdnet(nn.Module):
    """Noisy pictures [N, channels, H, W] in 0..1 and the noise's standard deviations [N, 1, 1, 1] -> clean pictures.

    H and W are even. Clean pictures are not clamped to 0..1.

    Raises:
        ValueError: `channels` is neither 1 nor 3.
    """

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        if channels not in _SIZES:
            raise ValueError(f"channels is {channels}, neither 1 (grey) nor 3 (RGB)")
        layers, width = _SIZES[channels]
        modules = [_conv(4 * channels + 1, width), nn.ReLU()]
        for _ in range(layers - 2):
            modules += [_conv(width, width), nn.ReLU()]
        self.model = nn.Sequential(*modules, _conv(width, 4 * channels))

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        quarters = nn.functional.pixel_unshuffle(noisy, 2)
        noise_map = torch.zeros_like(quarters[:, :1]) + sigma
        return nn.functional.pixel_shuffle(self.model(torch.cat([quarters, noise_map], dim=1)), 2)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)

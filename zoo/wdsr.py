"""WDSR-B, super-resolution with wide activations (Yu et al., arXiv:1808.08718), its weight norms folded.

Parameters have the names of github.com/JiahuiYu/wdsr_ntire2018, once `fold_weight_norms` has made weights of weight_g
and weight_v.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
_PIXEL_MAX = 255
_HALF_RANGE = 127.5
_EXPANSION = 6
_LOW_RANK = 0.8


class Wdsr(nn.Module):
    """RGB pictures [N, 3, H, W] in 0..255 -> pictures [N, 3, scale * H, scale * W] in that range, not clamped."""

    def __init__(self, scale: int = 2, blocks: int = 16, width: int = 32) -> None:
        super().__init__()
        outputs = 3 * scale**2
        self.head = nn.Sequential(_conv(3, width, kernel_size=3))
        self.body = nn.Sequential(*(_Block(width) for _ in range(blocks)))
        self.tail = nn.Sequential(_conv(width, outputs, kernel_size=3), nn.PixelShuffle(scale))
        self.skip = nn.Sequential(_conv(3, outputs, kernel_size=5), nn.PixelShuffle(scale))
        mean = _PIXEL_MAX * torch.tensor(_DIV2K_MEAN)[None, :, None, None]
        self.register_buffer("mean", mean, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        centred = (pictures - self.mean) / _HALF_RANGE
        enlarged = self.tail(self.body(self.head(centred))) + self.skip(centred)
        return _HALF_RANGE * enlarged + self.mean


def fold_weight_norms(state_dict: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Replace each `weight_g` [O, 1, 1, 1] and `weight_v` [O, I, H, W] by `weight`, g * v / |v| for each output."""
    folded = {}
    for name, value in state_dict.items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight_v":
            lengths = value.square().sum((1, 2, 3), keepdim=True).sqrt()
            folded[f"{layer}.weight"] = state_dict[f"{layer}.weight_g"] * value / lengths
        elif kind != "weight_g":
            folded[name] = value
    return folded


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        wide, low = _EXPANSION * width, int(_LOW_RANK * width)
        self.body = nn.Sequential(
            _conv(width, wide, kernel_size=1),
            nn.ReLU(),
            _conv(wide, low, kernel_size=1),
            _conv(low, width, kernel_size=3),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.body(features)


def _conv(inputs: int, outputs: int, kernel_size: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2)

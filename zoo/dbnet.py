"""DBNet, a detector of text by differentiable binarisation (Liao et al., AAAI 2020), on torchvision's ResNets.

Parameters have the names of github.com/MhLiao/DB after `model.module.`. Deformable convolutions are left out, and so is
the threshold map, which only training uses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models.feature_extraction import create_feature_extractor

_BACKBONES = {
    "resnet18": (resnet.resnet18, (64, 128, 256, 512)),
    "resnet50": (resnet.resnet50, (256, 512, 1024, 2048)),
}
_LEVELS = (2, 3, 4, 5)
"""Stages of the backbone; a level's features are 2 ** level times smaller than the pictures."""


class Dbnet(nn.Module):
    """Pictures [N, 3, H, W] -> probability of text [N, 1, H, W] in 0..1; H and W are multiples of 32.

    Raises:
        ValueError: `backbone` is neither resnet18 nor resnet50.
    """

    def __init__(self, backbone: str = "resnet18") -> None:
        super().__init__()
        if backbone not in _BACKBONES:
            raise ValueError(f"backbone is {backbone}, not one of {', '.join(_BACKBONES)}")
        create, widths = _BACKBONES[backbone]
        stages = {f"layer{level - 1}": f"layer{level - 1}" for level in _LEVELS}
        self.backbone = create_feature_extractor(create(weights=None), stages)
        self.decoder = _Decoder(widths)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.decoder(list(self.backbone(pictures).values()))


class _Decoder(nn.Module):
    """Features of the four levels -> probability of text."""

    def __init__(self, widths: tuple[int, ...], channels: int = 256) -> None:
        super().__init__()
        quarter = channels // 4
        for level, width in zip(_LEVELS, widths, strict=True):
            self.add_module(f"in{level}", nn.Conv2d(width, channels, kernel_size=1, bias=False))
            smooth = nn.Conv2d(channels, quarter, kernel_size=3, padding=1, bias=False)
            enlarging = nn.Upsample(scale_factor=2 ** (level - _LEVELS[0]))
            self.add_module(f"out{level}", smooth if level == _LEVELS[0] else nn.Sequential(smooth, enlarging))
        self.doubling = nn.Upsample(scale_factor=2)
        self.binarize = nn.Sequential(
            nn.Conv2d(channels, quarter, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(quarter),
            nn.ReLU(),
            nn.ConvTranspose2d(quarter, quarter, kernel_size=2, stride=2),
            nn.BatchNorm2d(quarter),
            nn.ReLU(),
            nn.ConvTranspose2d(quarter, 1, kernel_size=2, stride=2),
            nn.Sigmoid(),
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        # From the coarsest level, each adds the coarser one's features.
        merged, smoothed = None, []
        for level, features in zip(_LEVELS[::-1], levels[::-1], strict=True):
            lateral = self.get_submodule(f"in{level}")(features)
            merged = lateral if merged is None else lateral + self.doubling(merged)
            smoothed.append(self.get_submodule(f"out{level}")(merged))
        return self.binarize(torch.cat(smoothed, dim=1))

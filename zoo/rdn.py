"""RDN, super-resolution with residual dense blocks (Zhang et al., CVPR 2018), in the authors' configuration B.

Parameters have the names of github.com/sanghyun-son/EDSR-PyTorch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.edsr import conv, upsampler

_WIDTH = 64


class Rdn(nn.Module):
    """RGB pictures [N, 3, H, W] in 0..255 -> pictures [N, 3, scale * H, scale * W] in that range, not clamped.

    Raises:
        ValueError: `scale` is none of 2, 3 and 4.
    """

    def __init__(self, scale: int = 2, blocks: int = 16, layers: int = 8) -> None:
        super().__init__()
        self.SFENet1 = conv(3, _WIDTH)
        self.SFENet2 = conv(_WIDTH, _WIDTH)
        self.RDBs = nn.ModuleList(_DenseBlock(layers) for _ in range(blocks))
        self.GFF = nn.Sequential(nn.Conv2d(blocks * _WIDTH, _WIDTH, kernel_size=1), conv(_WIDTH, _WIDTH))
        self.UPNet = nn.Sequential(*upsampler(scale, _WIDTH), conv(_WIDTH, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        shallow = self.SFENet1(pictures)
        features, outputs = self.SFENet2(shallow), []
        for block in self.RDBs:
            features = block(features)
            outputs.append(features)
        return self.UPNet(shallow + self.GFF(torch.cat(outputs, dim=1)))


class _DenseBlock(nn.Module):
    def __init__(self, layers: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(*(_DenseLayer((index + 1) * _WIDTH) for index in range(layers)))
        self.LFF = nn.Conv2d((layers + 1) * _WIDTH, _WIDTH, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.LFF(self.convs(features))


class _DenseLayer(nn.Module):
    """Adds channels to those it is given."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(conv(inputs, _WIDTH), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, self.conv(features)], dim=1)

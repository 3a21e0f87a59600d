"""LPRNet, a reader of licence plates (Zherzdev and Gruzdev, arXiv:1806.10447).

Layers and the names of parameters are those of github.com/sirius-ai/LPRNet_Pytorch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_TAPS = (2, 6, 13, 22)
"""Layers of the backbone whose features are read together."""


class Lprnet(nn.Module):
    """BGR plates [N, 3, 24, 94] in -1..1 -> scores [N, classes, 18] of each class at 18 positions, for greedy CTC.

    Features are divided by their mean square over the whole batch, so a plate's scores depend on the plates beside it,
    as in the published network.
    """

    def __init__(self, classes: int = 68) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=3),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            _MaxPool(channel_stride=1, column_stride=1),
            _Block(64, 128),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            _MaxPool(channel_stride=2, column_stride=2),
            _Block(64, 256),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            _Block(256, 256),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            _MaxPool(channel_stride=4, column_stride=2),
            nn.Dropout(0.5),
            nn.Conv2d(64, 256, kernel_size=(1, 4)),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Conv2d(256, classes, kernel_size=(13, 1)),
            nn.BatchNorm2d(classes),
            nn.ReLU(),
        )
        self.container = nn.Sequential(nn.Conv2d(64 + 128 + 256 + classes, classes, kernel_size=1))
        # Each brings its features to the 4 x 18 positions of the last ones.
        self.pools = nn.ModuleList([nn.AvgPool2d(5), nn.AvgPool2d(5), nn.AvgPool2d((4, 10), (4, 2)), nn.Identity()])

    def forward(self, plates: Tensor) -> Tensor:
        features, taps = plates, []
        for index, layer in enumerate(self.backbone):
            features = layer(features)
            if index in _TAPS:
                taps.append(features)
        pooled = [pool(tap) for pool, tap in zip(self.pools, taps, strict=True)]
        scaled = [features / features.square().mean() for features in pooled]
        return self.container(torch.cat(scaled, dim=1)).mean(dim=2)


class _MaxPool(nn.Module):
    """Every `channel_stride`-th channel, pooled 3x3: MaxPool3d with kernel 1x3x3 on four axes, which ONNX lacks."""

    def __init__(self, channel_stride: int, column_stride: int) -> None:
        super().__init__()
        self.channel_stride = channel_stride
        self.pool = nn.MaxPool2d(3, stride=(1, column_stride))

    def forward(self, features: Tensor) -> Tensor:
        return self.pool(features[:, :: self.channel_stride])


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        width = outputs // 4
        self.block = nn.Sequential(
            nn.Conv2d(inputs, width, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(width, width, kernel_size=(3, 1), padding=(1, 0)),
            nn.ReLU(),
            nn.Conv2d(width, width, kernel_size=(1, 3), padding=(0, 1)),
            nn.ReLU(),
            nn.Conv2d(width, outputs, kernel_size=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.block(features)

"""ERFNet, semantic segmentation with factorised residual layers (Romera et al., IEEE T-ITS 2018).

Parameters have the names of github.com/Eromera/erfnet_pytorch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_EPS = 1e-3


class Erfnet(nn.Module):
    """Pictures [N, 3, H, W] -> logits [N, classes, H, W]; H and W are multiples of 8."""

    def __init__(self, classes: int = 20) -> None:
        super().__init__()
        self.encoder = _Encoder(classes)
        self.decoder = _Decoder(classes)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.decoder(self.encoder(pictures))


class _Encoder(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.initial_block = _Downsampler(3, 16)
        self.layers = nn.ModuleList(
            [
                _Downsampler(16, 64),
                *(_Factorised(64) for _ in range(5)),
                _Downsampler(64, 128),
                *(_Factorised(128, dilation) for dilation in (2, 4, 8, 16) * 2),
            ]
        )
        # For training the encoder alone; published checkpoints have it.
        self.output_conv = nn.Conv2d(128, classes, kernel_size=1)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.initial_block(pictures)
        for layer in self.layers:
            features = layer(features)
        return features


class _Decoder(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                _Upsampler(128, 64),
                _Factorised(64),
                _Factorised(64),
                _Upsampler(64, 16),
                _Factorised(16),
                _Factorised(16),
            ]
        )
        self.output_conv = nn.ConvTranspose2d(16, classes, kernel_size=2, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        for layer in self.layers:
            features = layer(features)
        return self.output_conv(features)


class _Downsampler(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs - inputs, kernel_size=3, stride=2, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.bn = nn.BatchNorm2d(outputs, eps=_EPS)

    def forward(self, features: Tensor) -> Tensor:
        return self.bn(torch.cat([self.conv(features), self.pool(features)], dim=1)).relu()


class _Upsampler(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, kernel_size=3, stride=2, padding=1, output_padding=1)
        self.bn = nn.BatchNorm2d(outputs, eps=_EPS)

    def forward(self, features: Tensor) -> Tensor:
        return self.bn(self.conv(features)).relu()


class _Factorised(nn.Module):
    """Two 3x3 convolutions, each as 3x1 and 1x3, the second one dilated (non-bottleneck-1D in the paper)."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv3x1_1, self.conv1x3_1 = _column(channels, 1), _row(channels, 1)
        self.bn1 = nn.BatchNorm2d(channels, eps=_EPS)
        self.conv3x1_2, self.conv1x3_2 = _column(channels, dilation), _row(channels, dilation)
        self.bn2 = nn.BatchNorm2d(channels, eps=_EPS)

    def forward(self, features: Tensor) -> Tensor:
        first = self.bn1(self.conv1x3_1(self.conv3x1_1(features).relu())).relu()
        second = self.bn2(self.conv1x3_2(self.conv3x1_2(first).relu()))
        return (features + second).relu()


def _column(channels: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel_size=(3, 1), padding=(dilation, 0), dilation=(dilation, 1))


def _row(channels: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel_size=(1, 3), padding=(0, dilation), dilation=(1, dilation))

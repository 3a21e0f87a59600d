"""U-Net (Ronneberger et al., MICCAI 2015) with batch norms and padded convolutions.

Parameters have the names of github.com/milesial/Pytorch-UNet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_CHANNELS = (64, 128, 256, 512, 1024)


class Unet(nn.Module):
    """Pictures [N, channels, H, W] -> logits [N, classes, H, W], for any H and W from 16.

    `bilinear` enlarges by interpolation instead of transposed convolutions.
    """

    def __init__(self, classes: int, channels: int = 3, bilinear: bool = False) -> None:
        super().__init__()
        shrink = 2 if bilinear else 1
        widths = (*_CHANNELS[:-1], _CHANNELS[-1] // shrink)
        self.inc = _DoubleConv(channels, widths[0])
        for number in range(1, 5):
            self.add_module(f"down{number}", _Down(widths[number - 1], widths[number]))
            inputs = _CHANNELS[5 - number]
            outputs = _CHANNELS[4 - number] // (shrink if number < 4 else 1)
            self.add_module(f"up{number}", _Up(inputs, outputs, bilinear))
        self.outc = _Output(_CHANNELS[0], classes)

    def forward(self, pictures: Tensor) -> Tensor:
        skipped = [self.inc(pictures)]
        for number in range(1, 5):
            skipped.append(self.get_submodule(f"down{number}")(skipped[-1]))
        features = skipped.pop()
        for number in range(1, 5):
            features = self.get_submodule(f"up{number}")(features, skipped.pop())
        return self.outc(features)


class _DoubleConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, middle: int | None = None) -> None:
        super().__init__()
        middle = middle or outputs
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, middle, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            nn.Conv2d(middle, outputs, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.double_conv(features)


class _Down(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), _DoubleConv(inputs, outputs))

    def forward(self, features: Tensor) -> Tensor:
        return self.maxpool_conv(features)


class _Up(nn.Module):
    def __init__(self, inputs: int, outputs: int, bilinear: bool) -> None:
        super().__init__()
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = _DoubleConv(inputs, outputs, inputs // 2)
        else:
            self.up = nn.ConvTranspose2d(inputs, inputs // 2, kernel_size=2, stride=2)
            self.conv = _DoubleConv(inputs, outputs)

    def forward(self, coarse: Tensor, skipped: Tensor) -> Tensor:
        enlarged = self.up(coarse)
        # Of an odd size, pooling dropped the last row or column.
        rows, columns = skipped.shape[2] - enlarged.shape[2], skipped.shape[3] - enlarged.shape[3]
        edges = [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2]
        return self.conv(torch.cat([skipped, nn.functional.pad(enlarged, edges)], dim=1))


class _Output(nn.Module):
    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, classes, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(features)

"""ENet, real-time semantic segmentation (Paszke et al., arXiv:1606.02147).

Parameters have the names of github.com/davidtvs/PyTorch-ENet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_BOTTLENECKS = (
    ("regular", 1),
    ("dilated", 2),
    ("asymmetric", 1),
    ("dilated", 4),
    ("regular", 1),
    ("dilated", 8),
    ("asymmetric", 1),
    ("dilated", 16),
)
"""Kind and dilation of the bottlenecks 2.1 to 2.8; the third stage repeats them (table 1 of the paper)."""
_NARROWING = 4


class Enet(nn.Module):
    """Pictures [N, 3, H, W] -> logits [N, classes, H, W]; H and W are multiples of 8."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.initial_block = _InitialBlock(16)
        self.downsample1_0 = _Downsampling(16, 64)
        first = {f"regular1_{index}": _Bottleneck(64) for index in range(1, 5)}
        self.downsample2_0 = _Downsampling(64, 128)
        middle = {
            f"{kind}{stage}_{index}": _Bottleneck(128, kind, dilation)
            for stage, first_index in ((2, 1), (3, 0))
            for index, (kind, dilation) in enumerate(_BOTTLENECKS, first_index)
        }
        self.upsample4_0 = _Upsampling(128, 64)
        last = {f"regular4_{index}": _Bottleneck(64, activation=nn.ReLU) for index in (1, 2)}
        self.upsample5_0 = _Upsampling(64, 16)
        self.regular5_1 = _Bottleneck(16, activation=nn.ReLU)
        self.transposed_conv = nn.ConvTranspose2d(16, classes, 3, stride=2, padding=1, output_padding=1, bias=False)
        for name, bottleneck in {**first, **middle, **last}.items():
            self.add_module(name, bottleneck)
        self.stages = [list(first), list(middle), list(last)]

    def forward(self, pictures: Tensor) -> Tensor:
        first, middle, last = self.stages
        features, winners_of_first = self.downsample1_0(self.initial_block(pictures))
        features, winners_of_second = self.downsample2_0(self._through(first, features))
        features = self.upsample4_0(self._through(middle, features), winners_of_second)
        features = self.upsample5_0(self._through(last, features), winners_of_first)
        return self.transposed_conv(self.regular5_1(features))

    def _through(self, names: list[str], features: Tensor) -> Tensor:
        for name in names:
            features = self.get_submodule(name)(features)
        return features


class _InitialBlock(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.main_branch = nn.Conv2d(3, outputs - 3, kernel_size=3, stride=2, padding=1, bias=False)
        self.ext_branch = nn.MaxPool2d(3, stride=2, padding=1)
        self.batch_norm = nn.BatchNorm2d(outputs)
        self.out_activation = nn.PReLU()

    def forward(self, pictures: Tensor) -> Tensor:
        both = torch.cat([self.main_branch(pictures), self.ext_branch(pictures)], dim=1)
        return self.out_activation(self.batch_norm(both))


class _Bottleneck(nn.Module):
    def __init__(
        self, channels: int, kind: str = "regular", dilation: int = 1, activation: type[nn.Module] = nn.PReLU
    ) -> None:
        super().__init__()
        width = channels // _NARROWING
        self.ext_conv1 = _block(nn.Conv2d(channels, width, kernel_size=1, bias=False), activation)
        if kind == "asymmetric":
            self.ext_conv2 = nn.Sequential(
                *_block(nn.Conv2d(width, width, kernel_size=(5, 1), padding=(2, 0), bias=False), activation),
                *_block(nn.Conv2d(width, width, kernel_size=(1, 5), padding=(0, 2), bias=False), activation),
            )
        else:
            conv = nn.Conv2d(width, width, kernel_size=3, padding=dilation, dilation=dilation, bias=False)
            self.ext_conv2 = _block(conv, activation)
        self.ext_conv3 = _block(nn.Conv2d(width, channels, kernel_size=1, bias=False), activation)
        self.out_activation = activation()

    def forward(self, features: Tensor) -> Tensor:
        return self.out_activation(features + self.ext_conv3(self.ext_conv2(self.ext_conv1(features))))


class _Downsampling(nn.Module):
    """Halves height and width; also tells which pixel of each 2x2 window was the largest."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        width = inputs // _NARROWING
        self.ext_conv1 = _block(nn.Conv2d(inputs, width, kernel_size=2, stride=2, bias=False), nn.PReLU)
        self.ext_conv2 = _block(nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False), nn.PReLU)
        self.ext_conv3 = _block(nn.Conv2d(width, outputs, kernel_size=1, bias=False), nn.PReLU)
        self.out_activation = nn.PReLU()

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        largest, winners = _max_pool(features)
        extension = self.ext_conv3(self.ext_conv2(self.ext_conv1(features)))
        # The new channels start from zeros.
        padded = torch.cat([largest, torch.zeros_like(extension[:, largest.shape[1] :])], dim=1)
        return self.out_activation(padded + extension), winners


class _Upsampling(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        width = inputs // _NARROWING
        self.main_conv1 = nn.Sequential(nn.Conv2d(inputs, outputs, kernel_size=1, bias=False), nn.BatchNorm2d(outputs))
        self.ext_conv1 = _block(nn.Conv2d(inputs, width, kernel_size=1, bias=False), nn.ReLU)
        self.ext_tconv1 = nn.ConvTranspose2d(width, width, kernel_size=2, stride=2, bias=False)
        self.ext_tconv1_bnorm = nn.BatchNorm2d(width)
        self.ext_tconv1_activation = nn.ReLU()
        self.ext_conv2 = nn.Sequential(nn.Conv2d(width, outputs, kernel_size=1, bias=False), nn.BatchNorm2d(outputs))
        self.out_activation = nn.ReLU()

    def forward(self, features: Tensor, winners: Tensor) -> Tensor:
        main = _max_unpool(self.main_conv1(features), winners)
        extension = self.ext_tconv1_bnorm(self.ext_tconv1(self.ext_conv1(features)))
        return self.out_activation(main + self.ext_conv2(self.ext_tconv1_activation(extension)))


def _block(conv: nn.Module, activation: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), activation())


def _max_pool(features: Tensor) -> tuple[Tensor, Tensor]:
    """Pool 2x2 windows; the second tensor [N, C, 4, H/2, W/2] is 1 at the first largest pixel of each window.

    MaxPool2d's indices would need MaxUnpool2d, which the exporter does not have.
    """
    pixels = torch.stack([features[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)], dim=2)
    largest = pixels.amax(dim=2)
    is_largest = (pixels == largest.unsqueeze(2)).to(features.dtype)
    is_first = is_largest.cumsum(dim=2) == 1
    return largest, is_largest * is_first.to(features.dtype)


def _max_unpool(features: Tensor, winners: Tensor) -> Tensor:
    """Put [N, C, H, W] at the winners' places in [N, C, 2 * H, 2 * W], with zeros elsewhere."""
    return nn.functional.pixel_shuffle((features.unsqueeze(2) * winners).flatten(1, 2), 2)

"""BiSeNet, the first version, on ResNet-18 (Yu et al., ECCV 2018): real-time semantic segmentation.

Parameters have the names of github.com/CoinCheung/BiSeNet, without the two heads that only training uses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models.feature_extraction import create_feature_extractor


class Bisenet(nn.Module):
    """RGB pictures [N, 3, H, W] -> logits [N, classes, H, W]; H and W are multiples of 32."""

    def __init__(self, classes: int = 19) -> None:
        super().__init__()
        self.cp = _ContextPath()
        self.sp = _SpatialPath()
        self.ffm = _FeatureFusion(256)
        self.conv_out = _Output(256, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.conv_out(self.ffm(torch.cat([self.sp(pictures), self.cp(pictures)], dim=1)))


class _ConvNormRelu(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, stride, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        return self.bn(self.conv(features)).relu()


class _SpatialPath(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _ConvNormRelu(3, 64, kernel_size=7, stride=2)
        self.conv2 = _ConvNormRelu(64, 64, kernel_size=3, stride=2)
        self.conv3 = _ConvNormRelu(64, 64, kernel_size=3, stride=2)
        self.conv_out = _ConvNormRelu(64, 128, kernel_size=1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.conv_out(self.conv3(self.conv2(self.conv1(pictures))))


class _ContextPath(nn.Module):
    """Pictures -> features [N, 128, H/8, W/8] from those 16 and 32 times smaller."""

    def __init__(self) -> None:
        super().__init__()
        stages = {"layer3": "sixteenth", "layer4": "thirty_second"}
        self.resnet = create_feature_extractor(resnet18(weights=None), stages)
        self.arm16 = _AttentionRefinement(256)
        self.arm32 = _AttentionRefinement(512)
        self.conv_head32 = _ConvNormRelu(128, 128, kernel_size=3)
        self.conv_head16 = _ConvNormRelu(128, 128, kernel_size=3)
        self.conv_avg = _ConvNormRelu(512, 128, kernel_size=1)
        self.doubling = nn.Upsample(scale_factor=2)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.resnet(pictures)
        average = self.conv_avg(features["thirty_second"].mean((2, 3), keepdim=True))
        coarse = self.conv_head32(self.doubling(self.arm32(features["thirty_second"]) + average))
        return self.conv_head16(self.doubling(self.arm16(features["sixteenth"]) + coarse))


class _AttentionRefinement(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = _ConvNormRelu(inputs, 128, kernel_size=3)
        self.conv_atten = nn.Conv2d(128, 128, kernel_size=1, bias=False)
        self.bn_atten = nn.BatchNorm2d(128)

    def forward(self, features: Tensor) -> Tensor:
        refined = self.conv(features)
        return refined * self.bn_atten(self.conv_atten(refined.mean((2, 3), keepdim=True))).sigmoid()


class _FeatureFusion(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convblk = _ConvNormRelu(channels, channels, kernel_size=1)
        self.conv = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        fused = self.convblk(features)
        return fused + fused * self.bn(self.conv(fused.mean((2, 3), keepdim=True))).sigmoid()


class _Output(nn.Module):
    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.conv = _ConvNormRelu(inputs, 256, kernel_size=3)
        self.conv_out = nn.Conv2d(256, classes, kernel_size=1)
        self.up = nn.Upsample(scale_factor=8, mode="bilinear", align_corners=False)

    def forward(self, features: Tensor) -> Tensor:
        return self.up(self.conv_out(self.conv(features)))

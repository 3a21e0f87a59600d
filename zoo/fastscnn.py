"""Fast-SCNN, semantic segmentation of large pictures in real time (Poudel et al., BMVC 2019).

Parameters have the names of github.com/Tramac/Fast-SCNN-pytorch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_BINS = (1, 2, 3, 6)
_EXPANSION = 6


class FastScnn(nn.Module):
    """RGB pictures [N, 3, H, W] -> logits [N, classes, H, W]; H and W are multiples of 32.

    The graph of an exported network has one height and width, as pooling into 3 or 6 bins depends on them.
    """

    def __init__(self, classes: int = 19) -> None:
        super().__init__()
        self.learning_to_downsample = _LearningToDownsample()
        self.global_feature_extractor = _GlobalFeatureExtractor()
        self.feature_fusion = _FeatureFusion(64, 128)
        self.classifier = _Classifier(128, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        fine = self.learning_to_downsample(pictures)
        logits = self.classifier(self.feature_fusion(fine, self.global_feature_extractor(fine)))
        return _resized(logits, pictures)


class _LearningToDownsample(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = _ConvNormRelu(3, 32, kernel_size=3, stride=2)
        self.dsconv1 = _SeparableConv(32, 48, stride=2)
        self.dsconv2 = _SeparableConv(48, 64, stride=2)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.dsconv2(self.dsconv1(self.conv(pictures)))


class _GlobalFeatureExtractor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bottleneck1 = _bottlenecks(64, 64, stride=2)
        self.bottleneck2 = _bottlenecks(64, 96, stride=2)
        self.bottleneck3 = _bottlenecks(96, 128, stride=1)
        self.ppm = _PyramidPooling(128)

    def forward(self, features: Tensor) -> Tensor:
        return self.ppm(self.bottleneck3(self.bottleneck2(self.bottleneck1(features))))


class _PyramidPooling(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        width = channels // len(_BINS)
        for number in range(1, len(_BINS) + 1):
            self.add_module(f"conv{number}", _ConvNormRelu(channels, width, kernel_size=1))
        self.out = _ConvNormRelu(2 * channels, channels, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        pooled = [features]
        for number, bins in enumerate(_BINS, 1):
            average = nn.functional.adaptive_avg_pool2d(features, bins)
            pooled.append(_resized(self.get_submodule(f"conv{number}")(average), features))
        return self.out(torch.cat(pooled, dim=1))


class _FeatureFusion(nn.Module):
    def __init__(self, fine: int, channels: int) -> None:
        super().__init__()
        self.enlarging = nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True)
        self.dwconv = _DepthwiseConv(channels, stride=1)
        self.conv_lower_res = nn.Sequential(nn.Conv2d(channels, channels, kernel_size=1), nn.BatchNorm2d(channels))
        self.conv_higher_res = nn.Sequential(nn.Conv2d(fine, channels, kernel_size=1), nn.BatchNorm2d(channels))

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return (self.conv_higher_res(fine) + self.conv_lower_res(self.dwconv(self.enlarging(coarse)))).relu()


class _Classifier(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.dsconv1 = _SeparableConv(channels, channels, stride=1)
        self.dsconv2 = _SeparableConv(channels, channels, stride=1)
        self.conv = nn.Sequential(nn.Dropout(0.1), nn.Conv2d(channels, classes, kernel_size=1))

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(self.dsconv2(self.dsconv1(features)))


class _ConvNormRelu(nn.Module):
    """A convolution without padding, as published, with its batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, kernel_size, stride, bias=False)
        self.conv = nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(features)


class _DepthwiseConv(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, channels, kernel_size=3, stride=stride, padding=1, groups=channels, bias=False)
        self.conv = nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(features)


class _SeparableConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, inputs, kernel_size=3, stride=stride, padding=1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, kernel_size=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(features)


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = _EXPANSION * inputs
        self.block = nn.Sequential(
            _ConvNormRelu(inputs, wide, kernel_size=1),
            _DepthwiseConv(wide, stride),
            nn.Conv2d(wide, outputs, kernel_size=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        return features + self.block(features) if self.is_residual else self.block(features)


def _bottlenecks(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    rest = (_Bottleneck(outputs, outputs, stride=1) for _ in range(2))
    return nn.Sequential(_Bottleneck(inputs, outputs, stride), *rest)


def _resized(features: Tensor, like: Tensor) -> Tensor:
    return nn.functional.interpolate(features, size=like.shape[2:], mode="bilinear", align_corners=True)

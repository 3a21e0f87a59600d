"""DeepLabv3+, semantic segmentation (Chen et al., ECCV 2018), on torchvision's ResNets or MobileNetV2.

With a ResNet, parameters have the names of github.com/VainF/DeepLabV3Plus-Pytorch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.models.segmentation.deeplabv3 import ASPP

_RESNETS = {"resnet50": resnet.resnet50, "resnet101": resnet.resnet101}
_ASPP_DILATIONS = {8: [12, 24, 36], 16: [6, 12, 18]}
_RESNET_DILATIONS = {8: [False, True, True], 16: [False, False, True]}
_LOW_LEVEL_CHANNELS = 48
_MOBILENET_STRIDED = {8: (7, 14), 16: (14,)}
"""Blocks of MobileNetV2 whose stride turns into dilation."""


class Deeplabv3Plus(nn.Module):
    """RGB pictures [N, 3, H, W] -> logits [N, classes, H, W].

    `output_stride` is how many times the features are smaller than the pictures: 8 or 16.

    Raises:
        ValueError: `backbone` is none of resnet50, resnet101 and mobilenet_v2, or `output_stride` neither 8 nor 16.
    """

    def __init__(self, classes: int, backbone: str = "resnet50", output_stride: int = 16) -> None:
        super().__init__()
        if output_stride not in _ASPP_DILATIONS:
            raise ValueError(f"output_stride is {output_stride}, neither 8 nor 16")
        if backbone in _RESNETS:
            self.backbone = _resnet(backbone, output_stride)
            low_level, high_level = 256, 2048
        elif backbone == "mobilenet_v2":
            self.backbone = _mobilenet(output_stride)
            low_level, high_level = 24, 320
        else:
            raise ValueError(f"backbone is {backbone}, not one of {', '.join([*_RESNETS, 'mobilenet_v2'])}")
        self.classifier = _Head(low_level, high_level, classes, _ASPP_DILATIONS[output_stride])

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.backbone(pictures)
        logits = self.classifier(features["low_level"], features["high_level"])
        return _resized(logits, pictures)


class _Head(nn.Module):
    def __init__(self, low_level: int, high_level: int, classes: int, dilations: list[int]) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Conv2d(low_level, _LOW_LEVEL_CHANNELS, kernel_size=1, bias=False),
            nn.BatchNorm2d(_LOW_LEVEL_CHANNELS),
            nn.ReLU(),
        )
        self.aspp = ASPP(high_level, dilations)
        self.classifier = nn.Sequential(
            nn.Conv2d(_LOW_LEVEL_CHANNELS + 256, 256, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.Conv2d(256, classes, kernel_size=1),
        )

    def forward(self, low_level: Tensor, high_level: Tensor) -> Tensor:
        fine = self.project(low_level)
        return self.classifier(torch.cat([fine, _resized(self.aspp(high_level), fine)], dim=1))


def _resnet(name: str, output_stride: int) -> nn.Module:
    network = _RESNETS[name](weights=None, replace_stride_with_dilation=_RESNET_DILATIONS[output_stride])
    return create_feature_extractor(network, {"layer1": "low_level", "layer4": "high_level"})


def _mobilenet(output_stride: int) -> nn.Module:
    network = mobilenet_v2(weights=None)
    dilation = 1
    for index, block in enumerate(network.features):
        for conv in block.modules():
            if isinstance(conv, nn.Conv2d) and conv.groups > 1:
                conv.dilation = (dilation, dilation)
                conv.padding = (dilation, dilation)
                if index in _MOBILENET_STRIDED[output_stride]:
                    conv.stride = (1, 1)
        if index in _MOBILENET_STRIDED[output_stride]:
            dilation *= 2
    return create_feature_extractor(network, {"features.3": "low_level", "features.17": "high_level"})


def _resized(features: Tensor, like: Tensor) -> Tensor:
    return nn.functional.interpolate(features, size=like.shape[2:], mode="bilinear", align_corners=False)

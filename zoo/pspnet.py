"""PSPNet, semantic segmentation with pyramid pooling (Zhao et al., CVPR 2017), on torchvision's dilated ResNets.

The head's parameters have the names of github.com/hszhao/semseg; its ResNets have three 3x3 convolutions first, where
torchvision's have one of 7x7.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models.feature_extraction import create_feature_extractor

_BINS = (1, 2, 3, 6)
_FEATURES = 2048
_BACKBONES = {"resnet50": resnet.resnet50, "resnet101": resnet.resnet101}


class Pspnet(nn.Module):
    """RGB pictures [N, 3, H, W] -> logits [N, classes, H, W].

    The graph of an exported network has one height and width, as pooling into 3 or 6 bins depends on them.

    Raises:
        ValueError: `backbone` is neither resnet50 nor resnet101.
    """

    def __init__(self, classes: int, backbone: str = "resnet50") -> None:
        super().__init__()
        if backbone not in _BACKBONES:
            raise ValueError(f"backbone is {backbone}, not one of {', '.join(_BACKBONES)}")
        network = _BACKBONES[backbone](weights=None, replace_stride_with_dilation=[False, True, True])
        self.backbone = create_feature_extractor(network, {"layer4": "layer4"})
        self.ppm = _PyramidPooling()
        self.cls = nn.Sequential(
            nn.Conv2d(2 * _FEATURES, 512, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(512),
            nn.ReLU(),
            nn.Dropout2d(0.1),
            nn.Conv2d(512, classes, kernel_size=1),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        logits = self.cls(self.ppm(self.backbone(pictures)["layer4"]))
        return nn.functional.interpolate(logits, size=pictures.shape[2:], mode="bilinear", align_corners=True)


class _PyramidPooling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        width = _FEATURES // len(_BINS)
        self.features = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(bins),
                nn.Conv2d(_FEATURES, width, kernel_size=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            )
            for bins in _BINS
        )

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[2:]
        pooled = (branch(features) for branch in self.features)
        enlarged = (nn.functional.interpolate(p, size=size, mode="bilinear", align_corners=True) for p in pooled)
        return torch.cat([features, *enlarged], dim=1)

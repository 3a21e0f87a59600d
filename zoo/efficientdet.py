"""EfficientDet (Tan, Pang and Le, arXiv:1911.09070), padded as in TensorFlow.

Parameters have the names of `tf_efficientdet_d0` to `tf_efficientdet_d7` of github.com/rwightman/efficientdet-pytorch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import timm
import torch
from torch import Tensor, nn

_LEVELS = 5
_NODES = (
    (3, (3, 4)),
    (2, (2, 5)),
    (1, (1, 6)),
    (0, (0, 7)),
    (1, (1, 7, 8)),
    (2, (2, 6, 9)),
    (3, (3, 5, 10)),
    (4, (4, 11)),
)
"""Level and sources of each node of a cell (figure 2d of the paper): 0 to 4 are its inputs, 5 is the first node."""
_ANCHORS = 9
_NORM_EPSILON = 1e-3
_FUSION_EPSILON = 1e-4


@dataclass(frozen=True)
class _Variant:
    backbone: str
    channels: int
    cells: int
    head_layers: int
    weighted: bool = True


_VARIANTS = (
    _Variant("b0", 64, 3, 3),
    _Variant("b1", 88, 4, 3),
    _Variant("b2", 112, 5, 3),
    _Variant("b3", 160, 6, 4),
    _Variant("b4", 224, 7, 4),
    _Variant("b5", 288, 7, 4),
    _Variant("b6", 384, 8, 5, weighted=False),
    _Variant("b6", 384, 8, 5, weighted=False),  # as D6, for larger images and anchors
)


class EfficientDet(nn.Module):
    """RGB images [N, 3, H, W], normalised as for ImageNet, H and W multiples of 128 -> class logits and boxes.

    The logits are [N, anchors, classes]; the boxes [N, anchors, 4] are regressions ty, tx, th, tw from the anchors,
    which come in the order of stride (8 to 128), row, column, and the 9 of a place.
    """

    def __init__(self, compound: int = 0, classes: int = 90) -> None:
        super().__init__()
        if compound not in range(len(_VARIANTS)):
            raise ValueError(f"compound is {compound}, not in 0..{len(_VARIANTS) - 1}")
        variant = _VARIANTS[compound]
        self.backbone = timm.create_model(
            f"tf_efficientnet_{variant.backbone}", pretrained=False, features_only=True, out_indices=(2, 3, 4)
        )
        self.fpn = _PyramidNetwork(self.backbone.feature_info.channels(), variant)
        self.class_net = _Head(variant.channels, variant.head_layers, classes)
        self.box_net = _Head(variant.channels, variant.head_layers, 4)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        levels = self.fpn(self.backbone(image))
        return self.class_net(levels), self.box_net(levels)


class _PyramidNetwork(nn.Module):
    """Two more levels by pooling, then cells that fuse the levels (BiFPN)."""

    def __init__(self, inputs: Sequence[int], variant: _Variant) -> None:
        super().__init__()
        channels = variant.channels
        self.resample = nn.ModuleDict(
            {"3": nn.Sequential(OrderedDict(conv=_ConvNorm(inputs[-1], channels), pool=_pooling())), "4": _pooling()}
        )
        later_cells = (_Cell([channels] * _LEVELS, variant) for _ in range(variant.cells - 1))
        self.cell = nn.Sequential(_Cell([*inputs, channels, channels], variant), *later_cells)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        for resample in self.resample.values():
            levels = [*levels, resample(levels[-1])]
        return self.cell(levels)


class _Cell(nn.Module):
    def __init__(self, inputs: Sequence[int], variant: _Variant) -> None:
        super().__init__()
        self.fnode = nn.ModuleList(_Node(level, sources, inputs, variant) for level, sources in _NODES)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        values = list(levels)
        for node, (_, sources) in zip(self.fnode, _NODES, strict=True):
            values.append(node([values[source] for source in sources]))
        return values[-_LEVELS:]


class _Node(nn.Module):
    """Sum of the sources at one level's size, SiLU, and a separable convolution."""

    def __init__(self, level: int, sources: Sequence[int], inputs: Sequence[int], variant: _Variant) -> None:
        super().__init__()
        channels = variant.channels
        self.combine = _Fusion(level, sources, inputs, variant)
        self.after_combine = nn.Sequential(OrderedDict(act=nn.SiLU(), conv=_SeparableConv(channels, channels, True)))

    def forward(self, values: Sequence[Tensor]) -> Tensor:
        return self.after_combine(self.combine(values))


class _Fusion(nn.Module):
    """Sum of the sources, or fast normalised fusion if weighted.

    That is the sum of w * value / (sum of w + 0.0001) with weights w clipped at 0 (section 3.3 of the paper).
    """

    def __init__(self, level: int, sources: Sequence[int], inputs: Sequence[int], variant: _Variant) -> None:
        super().__init__()
        self.edge_weights = nn.Parameter(torch.ones(len(sources))) if variant.weighted else None
        self.resample = nn.ModuleDict(
            {str(source): _resampling(source, level, inputs, variant.channels) for source in sources}
        )

    def forward(self, values: Sequence[Tensor]) -> Tensor:
        resampled = [resample(value) for resample, value in zip(self.resample.values(), values, strict=True)]
        if self.edge_weights is None:
            return sum(resampled)
        weights = self.edge_weights.relu()
        weights = weights / (weights.sum() + _FUSION_EPSILON)
        return sum(value * weights[index] for index, value in enumerate(resampled))


def _resampling(source: int, level: int, inputs: Sequence[int], channels: int) -> nn.Sequential:
    """Return the layers from a source's channels and level to those of a node."""
    layers = OrderedDict()
    if source < _LEVELS and inputs[source] != channels:
        layers["conv"] = _ConvNorm(inputs[source], channels)
    source_level = source if source < _LEVELS else _NODES[source - _LEVELS][0]
    if source_level > level:
        layers["upsample"] = nn.Upsample(scale_factor=2)
    elif source_level < level:
        layers["pool"] = _pooling()
    return nn.Sequential(layers)


def _pooling() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)  # for even sizes, TensorFlow's padding


class _ConvNorm(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)
        self.bn = nn.BatchNorm2d(outputs, eps=_NORM_EPSILON)

    def forward(self, features: Tensor) -> Tensor:
        return self.bn(self.conv(features))


class _SeparableConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, norm: bool) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.conv_pw = nn.Conv2d(inputs, outputs, 1)
        self.bn = nn.BatchNorm2d(outputs, eps=_NORM_EPSILON) if norm else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        return self.bn(self.conv_pw(self.conv_dw(features)))


class _Head(nn.Module):
    """`outputs` numbers per anchor, by convolutions that the levels share and normalisations that they do not."""

    def __init__(self, channels: int, layers: int, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.conv_rep = nn.ModuleList(_SeparableConv(channels, channels, norm=False) for _ in range(layers))
        self.bn_rep = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(channels, eps=_NORM_EPSILON))) for _ in range(_LEVELS)
            )
            for _ in range(layers)
        )
        self.predict = _SeparableConv(channels, _ANCHORS * outputs, norm=False)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Predict [N, anchors of all levels, outputs]."""
        return torch.cat([self._predicted(features, level) for level, features in enumerate(levels)], 1)

    def _predicted(self, features: Tensor, level: int) -> Tensor:
        for conv, norms in zip(self.conv_rep, self.bn_rep, strict=True):
            features = nn.functional.silu(norms[level](conv(features)))
        by_place = self.predict(features).permute(0, 2, 3, 1)
        return by_place.reshape(by_place.shape[0], -1, self.outputs)

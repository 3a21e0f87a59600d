"""Layers that several YOLO families share, with the parameter names of their published checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

NORM_EPSILON = 1e-3
_CHANNEL_MULTIPLE = 8
_BINS = 16
_MASK_COEFFICIENTS = 32

_Scaling = TypeVar("_Scaling")


def scaling_of(size: str, scalings: Mapping[str, _Scaling]) -> _Scaling:
    """Return the entry for `size`.

    Raises:
        ValueError: there is none.
    """
    if size not in scalings:
        raise ValueError(f"size is {size!r}, not one of {', '.join(scalings)}")
    return scalings[size]


def scaled_channels(channels: int, width: float) -> int:
    """Return `channels` times `width`, rounded up to a multiple of 8."""
    return math.ceil(channels * width / _CHANNEL_MULTIPLE) * _CHANNEL_MULTIPLE


def scaled_repeats(repeats: int, depth: float) -> int:
    """Return `repeats` times `depth`, rounded, at least 1."""
    return max(round(repeats * depth), 1)


class LayerGraph(nn.Module):
    """Layers `model.0`, `model.1`, ...; each takes the previous one's output, or those of the layers in `sources`."""

    def __init__(self, layers: Sequence[nn.Module], sources: Mapping[int, Sequence[int]]) -> None:
        super().__init__()
        self.model = nn.ModuleList(layers)
        self.sources = sources

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs = {-1: image}
        for index, layer in enumerate(self.model):
            outputs[index] = layer(*(outputs[source] for source in self.sources.get(index, (index - 1,))))
        return outputs[len(self.model) - 1]


class Conv(nn.Module):
    """Convolution, batch normalisation and activation; at stride 1 an odd kernel keeps height and width."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: Callable[[], nn.Module] = nn.SiLU,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=NORM_EPSILON)
        self.act = activation()

    def forward(self, features: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(features)))


class Concat(nn.Module):
    """Concatenation of channels."""

    def forward(self, *features: Tensor) -> Tensor:
        return torch.cat(features, 1)


class Bottleneck(nn.Module):
    """Two convolutions with `hidden` channels (half the outputs by default) between them, and a shortcut."""

    def __init__(
        self, inputs: int, outputs: int, shortcut: bool = True, hidden: int | None = None, first_kernel: int = 1
    ) -> None:
        super().__init__()
        hidden = outputs // 2 if hidden is None else hidden
        self.cv1 = Conv(inputs, hidden, first_kernel)
        self.cv2 = Conv(hidden, outputs, 3)
        self.shortcut = shortcut and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        result = self.cv2(self.cv1(features))
        return features + result if self.shortcut else result


class C3(nn.Module):
    """Cross-stage partial block: bottlenecks on half of the channels, three convolutions around them."""

    def __init__(self, inputs: int, outputs: int, repeats: int, shortcut: bool = True, first_kernel: int = 1) -> None:
        super().__init__()
        hidden = outputs // 2
        self.cv1 = Conv(inputs, hidden)
        self.cv2 = Conv(inputs, hidden)
        self.cv3 = Conv(2 * hidden, outputs)
        self.m = nn.Sequential(*(Bottleneck(hidden, hidden, shortcut, hidden, first_kernel) for _ in range(repeats)))

    def forward(self, features: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(features)), self.cv2(features)), 1))


class C2f(nn.Module):
    """Cross-stage partial block that concatenates the outputs of all its `blocks`, which keep `hidden` channels."""

    def __init__(self, inputs: int, outputs: int, hidden: int, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.hidden = hidden
        self.m = nn.ModuleList(blocks)
        self.cv1 = Conv(inputs, 2 * hidden)
        self.cv2 = Conv((2 + len(self.m)) * hidden, outputs)

    def forward(self, features: Tensor) -> Tensor:
        parts = list(self.cv1(features).split(self.hidden, 1))
        for block in self.m:
            parts.append(block(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


class SPPF(nn.Module):
    """Spatial pyramid pooling by three 5x5 poolings in a row, which together see 5x5, 9x9 and 13x13."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        hidden = inputs // 2
        self.cv1 = Conv(inputs, hidden)
        self.cv2 = Conv(4 * hidden, outputs)
        self.m = nn.MaxPool2d(5, stride=1, padding=2)

    def forward(self, features: Tensor) -> Tensor:
        pooled = [self.cv1(features)]
        for _ in range(3):
            pooled.append(self.m(pooled[-1]))
        return self.cv2(torch.cat(pooled, 1))


class AnchorHead(nn.Module):
    """One 1x1 convolution per stride, whose output is returned as it is: [N, anchors * (5 + classes), H, W] each.

    The channels of an anchor are x, y, width, height, objectness and classes, before the sigmoid. The argument
    `anchors` has widths and heights in pixels, by stride; the buffer [strides, anchors, 2] in units of the stride.
    """

    def __init__(self, channels: Sequence[int], classes: int, anchors: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        super().__init__()
        sizes = torch.tensor(list(anchors.values()), dtype=torch.float32)
        self.register_buffer("anchors", sizes / torch.tensor(list(anchors)).view(-1, 1, 1))
        self.m = nn.ModuleList(nn.Conv2d(inputs, sizes.shape[1] * (5 + classes), 1) for inputs in channels)

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        return tuple(convolution(level) for convolution, level in zip(self.m, features, strict=True))


class DistributionHead(nn.Module):
    """Two branches per stride, for boxes and classes, whose logits are returned: [N, 4 * 16 + classes, H, W] each.

    The first 64 channels are logits of 16 distances, 0 to 15 strides, from the cell's centre to a side of the box:
    left, top, right, bottom; the rest are logits of the classes. `class_branch` makes the layers that predict the
    classes, from the numbers of input channels, hidden channels and classes.
    """

    def __init__(
        self, channels: Sequence[int], classes: int, class_branch: Callable[[int, int, int], nn.Module]
    ) -> None:
        super().__init__()
        box_channels = max(channels[0] // 4, 4 * _BINS)
        class_channels = max(channels[0], min(classes, 100))
        self.cv2 = nn.ModuleList(
            nn.Sequential(
                Conv(inputs, box_channels, 3),
                Conv(box_channels, box_channels, 3),
                nn.Conv2d(box_channels, 4 * _BINS, 1),
            )
            for inputs in channels
        )
        self.cv3 = nn.ModuleList(class_branch(inputs, class_channels, classes) for inputs in channels)
        # The published decoder's weights, 0 to 15: in the checkpoints, but not needed for the maps.
        self.dfl = nn.Module()
        self.dfl.conv = nn.Conv2d(_BINS, 1, 1, bias=False).requires_grad_(False)
        self.dfl.conv.weight.copy_(torch.arange(_BINS).view(1, _BINS, 1, 1))

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        return tuple(
            torch.cat((boxes(level), classes(level)), 1)
            for boxes, classes, level in zip(self.cv2, self.cv3, features, strict=True)
        )


class MaskHead(DistributionHead):
    """`DistributionHead` with masks, which are weighted sums of prototypes (YOLACT, arXiv:1904.02689).

    After the maps come the prototypes' weights for each cell, [N, 32, H, W] for each stride, and the prototypes,
    [N, 32, H, W] at half of the first stride.
    """

    def __init__(
        self, channels: Sequence[int], classes: int, class_branch: Callable[[int, int, int], nn.Module]
    ) -> None:
        super().__init__(channels, classes, class_branch)
        hidden = max(channels[0] // 4, _MASK_COEFFICIENTS)
        self.cv4 = nn.ModuleList(
            nn.Sequential(Conv(inputs, hidden, 3), Conv(hidden, hidden, 3), nn.Conv2d(hidden, _MASK_COEFFICIENTS, 1))
            for inputs in channels
        )
        self.proto = _Prototypes(channels[0])

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        coefficients = (branch(level) for branch, level in zip(self.cv4, features, strict=True))
        return (*super().forward(*features), *coefficients, self.proto(features[0]))


class _Prototypes(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels, 3)
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.cv2 = Conv(channels, channels, 3)
        self.cv3 = Conv(channels, _MASK_COEFFICIENTS)

    def forward(self, features: Tensor) -> Tensor:
        return self.cv3(self.cv2(self.upsample(self.cv1(features))))

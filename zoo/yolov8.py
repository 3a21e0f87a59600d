"""YOLOv8 (github.com/ultralytics/ultralytics), with the parameter names of its published checkpoints."""

from __future__ import annotations

from typing import Literal

from torch import nn

from zoo.yolo_layers import (
    SPPF,
    Bottleneck,
    C2f,
    Concat,
    Conv,
    DistributionHead,
    LayerGraph,
    MaskHead,
    scaled_channels,
    scaled_repeats,
    scaling_of,
)

_DEPTH_WIDTH_AND_MOST_CHANNELS = {
    "n": (0.33, 0.25, 1024),
    "s": (0.33, 0.5, 1024),
    "m": (0.67, 0.75, 768),
    "l": (1.0, 1.0, 512),
    "x": (1.0, 1.25, 512),
}


class Yolov8(LayerGraph):
    """RGB images [N, 3, H, W] in 0..1, sides multiples of 32 -> the head's maps at strides 8, 16 and 32.

    A map is [N, 4 * 16 + classes, H / stride, W / stride], as `DistributionHead` describes. With `masks` there follow
    the coefficients of each cell's mask and the prototypes, as `MaskHead` describes.
    """

    def __init__(self, size: Literal["n", "s", "m", "l", "x"], classes: int = 80, masks: bool = False) -> None:
        depth, width, most = scaling_of(size, _DEPTH_WIDTH_AND_MOST_CHANNELS)
        c64, c128, c256, c512, c1024 = (
            scaled_channels(min(channels, most), width) for channels in (64, 128, 256, 512, 1024)
        )
        three, six = scaled_repeats(3, depth), scaled_repeats(6, depth)
        head = MaskHead if masks else DistributionHead
        layers = [
            Conv(3, c64, 3, stride=2),
            Conv(c64, c128, 3, stride=2),
            _c2f(c128, c128, three, shortcut=True),
            Conv(c128, c256, 3, stride=2),
            _c2f(c256, c256, six, shortcut=True),
            Conv(c256, c512, 3, stride=2),
            _c2f(c512, c512, six, shortcut=True),
            Conv(c512, c1024, 3, stride=2),
            _c2f(c1024, c1024, three, shortcut=True),
            SPPF(c1024, c1024),
            nn.Upsample(scale_factor=2),
            Concat(),
            _c2f(c1024 + c512, c512, three, shortcut=False),
            nn.Upsample(scale_factor=2),
            Concat(),
            _c2f(c512 + c256, c256, three, shortcut=False),
            Conv(c256, c256, 3, stride=2),
            Concat(),
            _c2f(c256 + c512, c512, three, shortcut=False),
            Conv(c512, c512, 3, stride=2),
            Concat(),
            _c2f(c512 + c1024, c1024, three, shortcut=False),
            head((c256, c512, c1024), classes, _class_branch),
        ]
        super().__init__(layers, {11: (10, 6), 14: (13, 4), 17: (16, 12), 20: (19, 9), 22: (15, 18, 21)})


def _c2f(inputs: int, outputs: int, repeats: int, shortcut: bool) -> C2f:
    hidden = outputs // 2
    blocks = (Bottleneck(hidden, hidden, shortcut, hidden, first_kernel=3) for _ in range(repeats))
    return C2f(inputs, outputs, hidden, blocks)


def _class_branch(inputs: int, hidden: int, classes: int) -> nn.Sequential:
    return nn.Sequential(Conv(inputs, hidden, 3), Conv(hidden, hidden, 3), nn.Conv2d(hidden, classes, 1))

"""YOLOv5, release 6 (github.com/ultralytics/yolov5), with the parameter names of its published checkpoints."""

from __future__ import annotations

from typing import Literal

from torch import nn

from zoo.yolo_layers import C3, SPPF, AnchorHead, Concat, Conv, LayerGraph, scaled_channels, scaled_repeats, scaling_of

_DEPTH_AND_WIDTH = {"n": (0.33, 0.25), "s": (0.33, 0.5), "m": (0.67, 0.75), "l": (1.0, 1.0), "x": (1.33, 1.25)}
_ANCHORS = {
    8: [(10, 13), (16, 30), (33, 23)],
    16: [(30, 61), (62, 45), (59, 119)],
    32: [(116, 90), (156, 198), (373, 326)],
}


class Yolov5(LayerGraph):
    """RGB images [N, 3, H, W] in 0..1, sides multiples of 32 -> the head's maps at strides 8, 16 and 32.

    A map is [N, 3 * (5 + classes), H / stride, W / stride], as `AnchorHead` describes.
    """

    def __init__(self, size: Literal["n", "s", "m", "l", "x"], classes: int = 80) -> None:
        depth, width = scaling_of(size, _DEPTH_AND_WIDTH)
        c64, c128, c256, c512, c1024 = (scaled_channels(channels, width) for channels in (64, 128, 256, 512, 1024))
        three, six, nine = (scaled_repeats(repeats, depth) for repeats in (3, 6, 9))
        layers = [
            Conv(3, c64, 6, stride=2),
            Conv(c64, c128, 3, stride=2),
            C3(c128, c128, three),
            Conv(c128, c256, 3, stride=2),
            C3(c256, c256, six),
            Conv(c256, c512, 3, stride=2),
            C3(c512, c512, nine),
            Conv(c512, c1024, 3, stride=2),
            C3(c1024, c1024, three),
            SPPF(c1024, c1024),
            Conv(c1024, c512),
            nn.Upsample(scale_factor=2),
            Concat(),
            C3(2 * c512, c512, three, shortcut=False),
            Conv(c512, c256),
            nn.Upsample(scale_factor=2),
            Concat(),
            C3(2 * c256, c256, three, shortcut=False),
            Conv(c256, c256, 3, stride=2),
            Concat(),
            C3(2 * c256, c512, three, shortcut=False),
            Conv(c512, c512, 3, stride=2),
            Concat(),
            C3(2 * c512, c1024, three, shortcut=False),
            AnchorHead((c256, c512, c1024), classes, _ANCHORS),
        ]
        super().__init__(layers, {12: (11, 6), 16: (15, 4), 19: (18, 14), 22: (21, 10), 24: (17, 20, 23)})

"""YOLOv3 and YOLOv3-tiny as in github.com/ultralytics/yolov3, with the parameter names of its published checkpoints.

The layers are those of Redmon and Farhadi, arXiv:1804.02767, with SiLU for the activation.
"""

from __future__ import annotations

from torch import nn

from zoo.yolo_layers import AnchorHead, Bottleneck, Concat, Conv, LayerGraph

_ANCHORS = {
    8: [(10, 13), (16, 30), (33, 23)],
    16: [(30, 61), (62, 45), (59, 119)],
    32: [(116, 90), (156, 198), (373, 326)],
}
_TINY_ANCHORS = {16: [(10, 14), (23, 27), (37, 58)], 32: [(81, 82), (135, 169), (344, 319)]}


class Yolov3(LayerGraph):
    """RGB images [N, 3, H, W] in 0..1, sides multiples of 32 -> the head's maps at strides 8, 16, 32 (tiny: 16, 32).

    A map is [N, 3 * (5 + classes), H / stride, W / stride], as `AnchorHead` describes.
    """

    def __init__(self, tiny: bool = False, classes: int = 80) -> None:
        if tiny:
            super().__init__(_tiny_layers(classes), {16: (14,), 18: (17, 8), 20: (19, 15)})
        else:
            sources = {16: (14,), 18: (17, 8), 23: (21,), 25: (24, 6), 28: (27, 22, 15)}
            super().__init__(_layers(classes), sources)


def _layers(classes: int) -> list[nn.Module]:
    return [
        Conv(3, 32, 3),
        Conv(32, 64, 3, stride=2),
        Bottleneck(64, 64),
        Conv(64, 128, 3, stride=2),
        _bottlenecks(128, 2),
        Conv(128, 256, 3, stride=2),
        _bottlenecks(256, 8),
        Conv(256, 512, 3, stride=2),
        _bottlenecks(512, 8),
        Conv(512, 1024, 3, stride=2),
        _bottlenecks(1024, 4),
        Bottleneck(1024, 1024, shortcut=False),
        Conv(1024, 512),
        Conv(512, 1024, 3),
        Conv(1024, 512),
        Conv(512, 1024, 3),
        Conv(512, 256),
        nn.Upsample(scale_factor=2),
        Concat(),
        Bottleneck(768, 512, shortcut=False),
        Bottleneck(512, 512, shortcut=False),
        Conv(512, 256),
        Conv(256, 512, 3),
        Conv(256, 128),
        nn.Upsample(scale_factor=2),
        Concat(),
        Bottleneck(384, 256, shortcut=False),
        nn.Sequential(Bottleneck(256, 256, shortcut=False), Bottleneck(256, 256, shortcut=False)),
        AnchorHead((256, 512, 1024), classes, _ANCHORS),
    ]


def _bottlenecks(channels: int, repeats: int) -> nn.Sequential:
    return nn.Sequential(*(Bottleneck(channels, channels) for _ in range(repeats)))


def _tiny_layers(classes: int) -> list[nn.Module]:
    return [
        Conv(3, 16, 3),
        nn.MaxPool2d(2),
        Conv(16, 32, 3),
        nn.MaxPool2d(2),
        Conv(32, 64, 3),
        nn.MaxPool2d(2),
        Conv(64, 128, 3),
        nn.MaxPool2d(2),
        Conv(128, 256, 3),
        nn.MaxPool2d(2),
        Conv(256, 512, 3),
        nn.ZeroPad2d((0, 1, 0, 1)),
        nn.MaxPool2d(2, stride=1),
        Conv(512, 1024, 3),
        Conv(1024, 256),
        Conv(256, 512, 3),
        Conv(256, 128),
        nn.Upsample(scale_factor=2),
        Concat(),
        Conv(384, 256, 3),
        AnchorHead((256, 512), classes, _TINY_ANCHORS),
    ]

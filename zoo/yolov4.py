"""YOLOv4 (Bochkovskiy, Wang and Liao, arXiv:2004.10934).

Parameters have the names of github.com/Tianxiaomo/pytorch-YOLOv4.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

_ANCHORS = 3


class Yolov4(nn.Module):
    """RGB images [N, 3, H, W] in 0..1, sides multiples of 32 -> the head's maps at strides 8, 16 and 32.

    A map is [N, 3 * (5 + classes), H / stride, W / stride]: for each anchor x and y before the sigmoid, logarithms of
    width and height in anchors, and the logits of objectness and classes.
    """

    def __init__(self, classes: int = 80) -> None:
        super().__init__()
        self.down1 = _FirstStage()
        self.down2 = _Stage(64, 128, blocks=2)
        self.down3 = _Stage(128, 256, blocks=8)
        self.down4 = _Stage(256, 512, blocks=8)
        self.down5 = _Stage(512, 1024, blocks=4)
        self.neek = _Neck()  # so spelt in the checkpoints
        self.head = _Head(_ANCHORS * (5 + classes))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stride8 = self.down3(self.down2(self.down1(image)))
        stride16 = self.down4(stride8)
        return self.head(*self.neek(stride8, stride16, self.down5(stride16)))


class _Conv(nn.Module):
    """Convolution, batch normalisation and activation."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, activation: Callable[[], nn.Module] = nn.Mish
    ) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            activation(),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(features)


class _Prediction(nn.Module):
    """A 1x1 convolution alone, named as in `_Conv`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(inputs, outputs, 1))

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(features)


def _leaky(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> _Conv:
    return _Conv(inputs, outputs, kernel, stride, lambda: nn.LeakyReLU(0.1))


class _FirstStage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _Conv(3, 32, 3)
        self.conv2 = _Conv(32, 64, 3, stride=2)
        self.conv3 = _Conv(64, 64)
        self.conv4 = _Conv(64, 64)
        self.conv5 = _Conv(64, 32)
        self.conv6 = _Conv(32, 64, 3)
        self.conv7 = _Conv(64, 64)
        self.conv8 = _Conv(128, 64)

    def forward(self, image: Tensor) -> Tensor:
        features = self.conv2(self.conv1(image))
        branch = self.conv4(features)
        branch = self.conv7(branch + self.conv6(self.conv5(branch)))
        return self.conv8(torch.cat((branch, self.conv3(features)), 1))


class _Stage(nn.Module):
    """Cross-stage partial stage: half the size, twice the channels, residual blocks on half of them."""

    def __init__(self, inputs: int, outputs: int, blocks: int) -> None:
        super().__init__()
        self.conv1 = _Conv(inputs, outputs, 3, stride=2)
        self.conv2 = _Conv(outputs, inputs)
        self.conv3 = _Conv(outputs, inputs)
        self.resblock = _ResidualBlocks(inputs, blocks)
        self.conv4 = _Conv(inputs, inputs)
        self.conv5 = _Conv(outputs, outputs)

    def forward(self, features: Tensor) -> Tensor:
        features = self.conv1(features)
        branch = self.conv4(self.resblock(self.conv3(features)))
        return self.conv5(torch.cat((branch, self.conv2(features)), 1))


class _ResidualBlocks(nn.Module):
    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.module_list = nn.ModuleList(
            nn.Sequential(_Conv(channels, channels), _Conv(channels, channels, 3)) for _ in range(blocks)
        )

    def forward(self, features: Tensor) -> Tensor:
        for block in self.module_list:
            features = features + block(features)
        return features


class _Neck(nn.Module):
    """Spatial pyramid pooling at stride 32, and the path from there to stride 8."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _leaky(1024, 512)
        self.conv2 = _leaky(512, 1024, 3)
        self.conv3 = _leaky(1024, 512)
        self.pools = nn.ModuleList(nn.MaxPool2d(kernel, stride=1, padding=kernel // 2) for kernel in (13, 9, 5))
        self.conv4 = _leaky(2048, 512)
        self.conv5 = _leaky(512, 1024, 3)
        self.conv6 = _leaky(1024, 512)
        self.upsample = nn.Upsample(scale_factor=2)
        self.conv7 = _leaky(512, 256)
        self.conv8 = _leaky(512, 256)
        self.conv9 = _leaky(512, 256)
        self.conv10 = _leaky(256, 512, 3)
        self.conv11 = _leaky(512, 256)
        self.conv12 = _leaky(256, 512, 3)
        self.conv13 = _leaky(512, 256)
        self.conv14 = _leaky(256, 128)
        self.conv15 = _leaky(256, 128)
        self.conv16 = _leaky(256, 128)
        self.conv17 = _leaky(128, 256, 3)
        self.conv18 = _leaky(256, 128)
        self.conv19 = _leaky(128, 256, 3)
        self.conv20 = _leaky(256, 128)

    def forward(self, stride8: Tensor, stride16: Tensor, stride32: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        unpooled = self.conv3(self.conv2(self.conv1(stride32)))
        pooled = torch.cat((*(pool(unpooled) for pool in self.pools), unpooled), 1)
        stride32 = self.conv6(self.conv5(self.conv4(pooled)))
        stride16 = torch.cat((self.conv8(stride16), self.upsample(self.conv7(stride32))), 1)
        stride16 = self.conv13(self.conv12(self.conv11(self.conv10(self.conv9(stride16)))))
        stride8 = torch.cat((self.conv15(stride8), self.upsample(self.conv14(stride16))), 1)
        stride8 = self.conv20(self.conv19(self.conv18(self.conv17(self.conv16(stride8)))))
        return stride8, stride16, stride32


class _Head(nn.Module):
    """The path from stride 8 to stride 32, with a prediction at each."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv1 = _leaky(128, 256, 3)
        self.conv2 = _Prediction(256, outputs)
        self.conv3 = _leaky(128, 256, 3, stride=2)
        self.conv4 = _leaky(512, 256)
        self.conv5 = _leaky(256, 512, 3)
        self.conv6 = _leaky(512, 256)
        self.conv7 = _leaky(256, 512, 3)
        self.conv8 = _leaky(512, 256)
        self.conv9 = _leaky(256, 512, 3)
        self.conv10 = _Prediction(512, outputs)
        self.conv11 = _leaky(256, 512, 3, stride=2)
        self.conv12 = _leaky(1024, 512)
        self.conv13 = _leaky(512, 1024, 3)
        self.conv14 = _leaky(1024, 512)
        self.conv15 = _leaky(512, 1024, 3)
        self.conv16 = _leaky(1024, 512)
        self.conv17 = _leaky(512, 1024, 3)
        self.conv18 = _Prediction(1024, outputs)

    def forward(self, stride8: Tensor, stride16: Tensor, stride32: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stride16 = torch.cat((self.conv3(stride8), stride16), 1)
        stride16 = self.conv8(self.conv7(self.conv6(self.conv5(self.conv4(stride16)))))
        stride32 = torch.cat((self.conv11(stride16), stride32), 1)
        stride32 = self.conv16(self.conv15(self.conv14(self.conv13(self.conv12(stride32)))))
        return (
            self.conv2(self.conv1(stride8)),
            self.conv10(self.conv9(stride16)),
            self.conv18(self.conv17(stride32)),
        )

"""FCN-8s on VGG-16 (Long et al., CVPR 2015).

Parameters have the names of the authors' Caffe network, as in github.com/wkentaro/pytorch-fcn.
"""

from __future__ import annotations

from torch import Tensor, nn

_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_FIRST_PADDING = 100
"""Of the first convolution, so that small pictures fill the 7x7 layer; the offsets of the crops follow from it."""


class Fcn8s(nn.Module):
    """Pictures [N, 3, H, W] -> logits [N, classes, H, W]."""

    def __init__(self, classes: int = 21) -> None:
        super().__init__()
        channels = 3
        for number, widths in enumerate(_BLOCKS, 1):
            for index, width in enumerate(widths, 1):
                padding = _FIRST_PADDING if number == index == 1 else 1
                self.add_module(f"conv{number}_{index}", nn.Conv2d(channels, width, kernel_size=3, padding=padding))
                channels = width
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.fc6 = nn.Conv2d(512, 4096, kernel_size=7)
        self.fc7 = nn.Conv2d(4096, 4096, kernel_size=1)
        self.score_fr = nn.Conv2d(4096, classes, kernel_size=1)
        self.score_pool3 = nn.Conv2d(256, classes, kernel_size=1)
        self.score_pool4 = nn.Conv2d(512, classes, kernel_size=1)
        self.upscore2 = nn.ConvTranspose2d(classes, classes, kernel_size=4, stride=2, bias=False)
        self.upscore_pool4 = nn.ConvTranspose2d(classes, classes, kernel_size=4, stride=2, bias=False)
        self.upscore8 = nn.ConvTranspose2d(classes, classes, kernel_size=16, stride=8, bias=False)

    def forward(self, pictures: Tensor) -> Tensor:
        features, pooled = pictures, []
        for number, widths in enumerate(_BLOCKS, 1):
            for index in range(1, len(widths) + 1):
                features = self.get_submodule(f"conv{number}_{index}")(features).relu()
            features = self.pool(features)
            pooled.append(features)
        scores = self.upscore2(self.score_fr(self.fc7(self.fc6(features).relu()).relu()))
        scores = self.upscore_pool4(scores + _crop(self.score_pool4(pooled[3]), 5, scores))
        scores = self.upscore8(scores + _crop(self.score_pool3(pooled[2]), 9, scores))
        return _crop(scores, 31, pictures)


def _crop(features: Tensor, offset: int, like: Tensor) -> Tensor:
    """Cut `features` to the height and width of `like`, from row and column `offset`."""
    height, width = like.shape[2:]
    return features[:, :, offset : offset + height, offset : offset + width]

"""RCAN, super-resolution with channel attention (Zhang et al., ECCV 2018).

Parameters have the names of github.com/yulunzhang/RCAN.
"""

from __future__ import annotations

from torch import Tensor, nn

from zoo.edsr import conv, mean_shift, upsampler

_WIDTH = 64
_SQUEEZE = 16


class Rcan(nn.Module):
    """RGB pictures [N, 3, H, W] in 0..255 -> pictures [N, 3, scale * H, scale * W] in that range, not clamped.

    Raises:
        ValueError: `scale` is none of 2, 3 and 4.
    """

    def __init__(self, scale: int = 2, groups: int = 10, blocks: int = 20) -> None:
        super().__init__()
        self.sub_mean = mean_shift(-1)
        self.head = nn.Sequential(conv(3, _WIDTH))
        residual_groups = (_Residual(*(_attended_block() for _ in range(blocks)), _conv()) for _ in range(groups))
        self.body = nn.Sequential(*residual_groups, _conv())
        self.tail = nn.Sequential(upsampler(scale, _WIDTH), conv(_WIDTH, 3))
        self.add_mean = mean_shift(1)

    def forward(self, pictures: Tensor) -> Tensor:
        shallow = self.head(self.sub_mean(pictures))
        return self.add_mean(self.tail(shallow + self.body(shallow)))


class _Residual(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.body(features)


class _ChannelAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_du = nn.Sequential(
            nn.Conv2d(_WIDTH, _WIDTH // _SQUEEZE, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(_WIDTH // _SQUEEZE, _WIDTH, kernel_size=1),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features * self.conv_du(features.mean((2, 3), keepdim=True))


def _attended_block() -> _Residual:
    return _Residual(_conv(), nn.ReLU(), _conv(), _ChannelAttention())


def _conv() -> nn.Conv2d:
    return conv(_WIDTH, _WIDTH)

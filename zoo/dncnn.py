"""DnCNN, a denoiser (Zhang et al., IEEE TIP 2017).

Parameters have the names of github.com/SaoYan/DnCNN-PyTorch.
"""

from __future__ import annotations

from torch import Tensor, nn

_CHANNELS = 64


class Dncnn(nn.Module):
    """Noisy pictures [N, channels, H, W] in 0..1 -> clean pictures of that shape, not clamped to 0..1.

    `layers` is 17 for one level of noise, 20 for a range of levels (section III of the paper).
    """

    def __init__(self, layers: int = 17, channels: int = 1) -> None:
        super().__init__()
        modules = [_conv(channels, _CHANNELS), nn.ReLU()]
        for _ in range(layers - 2):
            modules += [_conv(_CHANNELS, _CHANNELS), nn.BatchNorm2d(_CHANNELS), nn.ReLU()]
        self.dncnn = nn.Sequential(*modules, _conv(_CHANNELS, channels))

    def forward(self, noisy: Tensor) -> Tensor:
        return noisy - self.dncnn(noisy)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)

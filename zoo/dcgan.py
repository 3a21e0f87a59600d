"""The DCGAN generator of github.com/eriklindernoren/PyTorch-GAN, its second block at 32 channels instead of 64."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn

from runner.core import CheckpointError

_FIRST_CHANNELS = 128
_SECOND_CHANNELS = 32
_UPSAMPLING = 4


class Generator(nn.Module):
    """Noise [N, latent_size, 1, 1] -> images [N, channels, image_size, image_size] in -1..1."""

    def __init__(self, image_size: int = 32, latent_size: int = 100, channels: int = 1) -> None:
        super().__init__()
        if image_size < _UPSAMPLING or image_size % _UPSAMPLING:
            raise ValueError(f"image_size is {image_size}, not a multiple of {_UPSAMPLING}")
        self.first_size = image_size // _UPSAMPLING
        self.l1 = nn.Sequential(nn.Linear(latent_size, _FIRST_CHANNELS * self.first_size**2))
        self.conv_blocks = nn.Sequential(
            nn.BatchNorm2d(_FIRST_CHANNELS),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(_FIRST_CHANNELS, _FIRST_CHANNELS, kernel_size=3, padding=1),
            # Upstream passes 0.8, meant as momentum, as eps; the weights were trained with it.
            nn.BatchNorm2d(_FIRST_CHANNELS, eps=0.8),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(_FIRST_CHANNELS, _SECOND_CHANNELS, kernel_size=3, padding=1),
            nn.BatchNorm2d(_SECOND_CHANNELS, eps=0.8),
            nn.LeakyReLU(0.2),
            nn.Conv2d(_SECOND_CHANNELS, channels, kernel_size=3, padding=1),
            nn.Tanh(),
        )

    def forward(self, noise: Tensor) -> Tensor:
        # -1 for the batch axis, so that exporting does not hard-code the example's batch size in the graph.
        features = self.l1(noise.flatten(1)).view(-1, _FIRST_CHANNELS, self.first_size, self.first_size)
        return self.conv_blocks(features)


def checkpoint_settings(state_dict: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the argument of `Generator` determined by a checkpoint: `image_size`, from the rows of its first layer.

    Raises:
        CheckpointError: the first layer is missing, or fits no image size.
    """
    weight = state_dict.get("l1.0.weight")
    if weight is None:
        raise CheckpointError(
            f"this is no checkpoint of zoo.dcgan.Generator: of its {len(state_dict)} parameters none is l1.0.weight",
            "use the generator's checkpoint (the entry G of the published file)",
        )
    rows = weight.shape[0] if weight.dim() == 2 else 0
    first_size = math.isqrt(rows // _FIRST_CHANNELS)
    if first_size == 0 or _FIRST_CHANNELS * first_size**2 != rows:
        raise CheckpointError(
            f"l1.0.weight has the shape {list(weight.shape)}, which is no zoo.dcgan.Generator's",
            f"its first axis must be {_FIRST_CHANNELS} * (image_size / {_UPSAMPLING})^2, as 8192 for 32 pixels",
        )
    return {"image_size": first_size * _UPSAMPLING}

"""From a picture to the stored uint8 array, and from stored values to what the network takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Geometry:
    """The part of the preprocessing that is stored: shorter side, interpolation, centred crop, channel order."""

    resize: int | None
    interpolation: str
    crop: int | None
    channels: str


@dataclass(frozen=True)
class Normalisation:
    """The part that is applied as batches are made: (stored * scale - mean) / std, per channel of [C, ...]."""

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

"""What is known of a library's networks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """A network that gives one score a class, and how its own weights want pictures made ready.

    Pictures are resized to `resize` (the shorter side, or both without `keep_ratio`), cropped to `size` x `size`,
    scaled to 0..1 and normalised. `classes` is 0 for one that gives features only. `url` is None where the library has
    no weights for it; `sha256` are leading digits of the file's hash, as far as its name carries them.
    """

    size: int
    resize: int
    keep_ratio: bool
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int
    reference: str
    file: str
    url: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Catalogue:
    """What a library has: networks by name, and why others of its names are none of them."""

    networks: dict[str, Network]
    refused: dict[str, str]

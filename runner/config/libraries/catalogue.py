"""Metadata of a library's networks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """A classification network, and the preprocessing that its own weights require.

    Images are resized to `resize` (the shorter side, or both without `keep_ratio`), cropped to `size` x `size`,
    scaled to 0..1 and normalised. `classes` is 0 if it outputs features only. `url` is None if the library has no
    weights for it; `sha256` are the leading digits of the file's hash that its name contains.
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
    """The contents of a library: supported networks by name, and the reasons why other names are unsupported."""

    networks: dict[str, Network]
    refused: dict[str, str]

"""Metadata of a library's networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network, by default a classifier, with what its own weights require.

    It takes RGB images of `input_size` [height, width], scaled to 0..1 and normalised. The other fields are those of a
    model's YAML of the same name (runner.config.schema). `classes` is 0 if it outputs features only. `url` is None if
    the library has no weights for it; `sha256` are the leading digits of the file's hash that its name contains.
    """

    task: str = "image_classification"
    input_size: tuple[int, int]
    outputs: tuple[str, ...] = ("class",)
    classes: int

    fit: str = "shorter"
    resize: int | None = None
    keep_ratio: bool = True
    crop: int | None = None
    pad: str = "centre"
    pad_value: tuple[int, ...] = (0,)
    interpolation: str = "bilinear"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    decode: dict[str, Any] = field(default_factory=dict)

    reference: str
    file: str
    url: str | None = None
    sha256: str | None = None
    rename: dict[str, str] = field(default_factory=dict)

    deviations: tuple[dict[str, str], ...] = ()
    top1_agreement: float | None = 98.0


@dataclass(frozen=True)
class Catalogue:
    """The contents of a library: supported networks by name, and the reasons why other names are unsupported."""

    networks: dict[str, Network]
    refused: dict[str, str]

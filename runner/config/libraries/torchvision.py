"""Metadata of torchvision's classifiers.

A name may have a tag, as in timm: resnet50.IMAGENET1K_V1 are the first weights of ResNet-50, resnet50 its best.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runner.config.libraries.catalogue import Catalogue, Network
from runner.core.lazy import torchvision

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

_HASH = re.compile(r"-(?P<digits>[0-9a-f]{8,64})\.\w+$")


def catalogue() -> Catalogue:
    """Return the metadata of all classifiers of the installed torchvision."""
    models = torchvision.models
    networks: dict[str, Network] = {}
    refused: dict[str, str] = {}
    classifiers = models.list_models(module=models)
    for name in models.list_models():
        if name not in classifiers:
            kind = models.get_model_builder(name).__module__.split(".")[2]
            refused[name] = f"it is one of torchvision.models.{kind}, no classifier of single pictures in float32"
            continue
        choices = models.get_model_weights(name)
        for weights in choices:
            tagged = f"{name}.{weights.name}"
            if weights.meta["categories"] is None:
                refused[tagged] = "these weights have no classifier"
                continue
            networks[tagged] = _described(weights)
            if weights is choices.DEFAULT:
                networks[name] = networks[tagged]
    return Catalogue(networks, refused)


def _described(weights: WeightsEnum) -> Network:
    """Convert a member of a torchvision weights enumeration, with its evaluation transforms."""
    preset = weights.transforms()
    (size,), (resize,) = preset.crop_size, preset.resize_size
    file = weights.url.rpartition("/")[2]
    digits = _HASH.search(file)
    return Network(
        size=size,
        resize=resize,
        keep_ratio=True,
        interpolation=preset.interpolation.value,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        classes=len(weights.meta["categories"]),
        reference=weights.meta["recipe"],
        file=file,
        url=weights.url,
        sha256=digits["digits"] if digits else None,
    )

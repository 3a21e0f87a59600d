"""torchvision's classifiers: what it says of them, and how they are built for their weights.

A name may carry a tag, as timm's do: resnet50.IMAGENET1K_V1 are the first weights of ResNet-50, resnet50 its best.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runner.libraries.catalogue import Catalogue, Network

if TYPE_CHECKING:
    import torch
    from torchvision.models import WeightsEnum

_HASH = re.compile(r"-(?P<digits>[0-9a-f]{8,64})\.\w+$")
_OWN_SCALING = ("googlenet", "inception_v3")
"""Networks whose weights are for inputs that they scale anew themselves."""


def catalogue() -> Catalogue:
    """What the installed torchvision says of its networks."""
    from torchvision import models

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
    """A member of a torchvision weights enumeration, by the evaluation transforms that it names."""
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


def build(arch: str, size: int, num_classes: int) -> torch.nn.Module:
    """The network without weights, as torchvision builds it for those: for pictures of `size` x `size`."""
    from torchvision import models

    name = arch.partition(".")[0]
    if name not in models.list_models(module=models):  # others would fetch weights of a backbone
        raise ValueError(f"{name} is none of torchvision's classifiers")
    settings: dict[str, Any] = {}
    if name in _OWN_SCALING:
        settings = {"transform_input": True, "init_weights": False}
    elif name.startswith("vit_"):
        settings = {"image_size": size}
    network: torch.nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **settings)
    return network

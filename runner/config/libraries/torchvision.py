"""Metadata of torchvision's networks.

A name may have a tag, as in timm: resnet50.IMAGENET1K_V1 are the first weights of ResNet-50, resnet50 its best.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from runner.config.libraries import torchvision_detectors
from runner.config.libraries.catalogue import Catalogue, Network
from runner.core.lazy import torchvision

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

Facts = dict[str, Any]
"""Fields of a Network, beside those of its weights."""

_STRIDE = 8
"""Pixels of a segmentation network's input, by height and width, for a cell of its features."""
_HASH = re.compile(r"-(?P<digits>[0-9a-f]{8,64})\.\w+$")


def catalogue() -> Catalogue:
    """Return the metadata of all networks of the installed torchvision whose kind is in KINDS."""
    models = torchvision.models
    networks: dict[str, Network] = {}
    refused: dict[str, str] = {}
    classifiers = models.list_models(module=models)
    for name in models.list_models():
        kind = "classification" if name in classifiers else models.get_model_builder(name).__module__.split(".")[2]
        if kind not in KINDS:
            refused[name] = f"it is one of torchvision.models.{kind}, none of single pictures in float32"
            continue
        choices = models.get_model_weights(name)
        for weights in choices:
            tagged = f"{name}.{weights.name}"
            found = KINDS[kind](name, weights)
            if isinstance(found, str):
                refused[tagged] = found
            else:
                networks[tagged] = Network(**found, **_of_weights(weights))
            if weights is choices.DEFAULT:
                if tagged in networks:
                    networks[name] = networks[tagged]
                else:
                    refused[name] = refused[tagged]
    return Catalogue(networks, refused)


def _of_weights(weights: WeightsEnum) -> Facts:
    file = weights.url.rpartition("/")[2]
    digits = _HASH.search(file)
    return {
        "classes": len(weights.meta["categories"]),
        "reference": weights.meta["recipe"],
        "file": file,
        "url": weights.url,
        "sha256": digits["digits"] if digits else None,
    }


def _classifier(name: str, weights: WeightsEnum) -> Facts | str:
    """Convert the evaluation transforms of a classifier's weights."""
    if weights.meta["categories"] is None:
        return "these weights have no classifier"
    preset = weights.transforms()
    (size,), (resize,) = preset.crop_size, preset.resize_size
    return {
        "input_size": (size, size),
        "resize": resize,
        "crop": size,
        "interpolation": preset.interpolation.value,
        "mean": tuple(preset.mean),
        "std": tuple(preset.std),
    }


def _detector(name: str, weights: WeightsEnum) -> Facts | str:
    return torchvision_detectors.facts(name, len(weights.meta["categories"]))


def _segmenter(name: str, weights: WeightsEnum) -> Facts | str:
    """Convert the evaluation transforms of a segmentation network's weights, for an input of one size."""
    preset = weights.transforms()
    (resize,) = preset.resize_size
    landscape = (resize, round(resize * 4 / 3 / _STRIDE) * _STRIDE)
    return {
        "task": "segmentation",
        "input_size": landscape,
        "outputs": ("out",),
        "fit": "inside",
        "pad": "corner",
        "pad_value": tuple(round(255 * mean) for mean in preset.mean),
        "interpolation": preset.interpolation.value,
        "mean": tuple(preset.mean),
        "std": tuple(preset.std),
        "decode": {"_target_": "runner.tasks.segmentation.Maps"},
        "deviations": (
            {
                "en": f"every picture is made to fit into {landscape[1]}x{landscape[0]}, and padded; torchvision makes "
                f"the shorter side {resize}, so that portraits are larger there",
                "zh": f"所有图片缩放到 {landscape[1]}x{landscape[0]} 以内并填充；"  # noqa: RUF001
                f"torchvision 把短边缩放到 {resize}，竖图因此更大",  # noqa: RUF001
            },
            {
                "en": "label maps are scored in the pictures' own size; torchvision scores them in the network's",
                "zh": "标签图在原图尺寸上评分；torchvision 在网络的尺寸上评分",  # noqa: RUF001
            },
        ),
        "top1_agreement": None,
    }


KINDS: dict[str, Callable[[str, WeightsEnum], Facts | str]] = {
    "classification": _classifier,
    "detection": _detector,
    "segmentation": _segmenter,
}
"""Kind of network, a package of torchvision.models -> its facts for a name and weights, or why it cannot be run."""

"""Metadata of torchvision's detectors, which run as far as their heads: see runner.networks.libraries.

Preprocessing and thresholds are those of the builders in torchvision.models.detection.
"""

# ruff: noqa: RUF001 (Chinese has its own punctuation)

from __future__ import annotations

from typing import Any

_ANTIALIASED = {
    "en": "pictures are resized with antialiasing and rounded to bytes; torchvision interpolates without",
    "zh": "图片缩放时抗锯齿并取整为字节；torchvision 的插值不抗锯齿",
}
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_LANDSCAPE: dict[str, Any] = {
    **_IMAGENET,
    "input_size": (800, 1344),
    "fit": "inside",
    "pad": "corner",
    "pad_value": (124, 116, 104),
    "deviations": (
        {
            "en": "every picture is made to fit into 1344x800, and padded; torchvision makes the shorter side 800, or "
            "the longer 1333 if that is less, so that portraits are larger there",
            "zh": "所有图片缩放到 1344x800 以内并填充；"
            "torchvision 把短边缩放到 800，或长边到 1333（取较小者），竖图因此更大",
        },
        _ANTIALIASED,
        {
            "en": "padding is the mean rounded to bytes; torchvision pads with the mean itself",
            "zh": "填充值为取整为字节的均值；torchvision 以均值本身填充",
        },
    ),
}
"""The input of the networks with a feature pyramid: torchvision's largest for a landscape."""
_STRETCHED: dict[str, Any] = {
    "fit": "stretch",
    "deviations": (_ANTIALIASED,),
}
_HEADS = {
    f"head.{branch}.conv.{index}.{kind}": f"head.{branch}.conv.{index}.0.{kind}"
    for branch in ("classification_head", "regression_head")
    for index in range(4)
    for kind in ("weight", "bias")
}
"""Old -> new names of RetinaNet's parameters, as torchvision renames them when it loads its first weights.

They are whole names, so that those of a network trained since, `conv.0.0.weight`, stay as they are.
"""

DETECTORS: dict[str, dict[str, Any]] = {
    "ssd300_vgg16": {
        **_STRETCHED,
        "input_size": (300, 300),
        "mean": (0.48235, 0.45882, 0.40784),
        "std": (1 / 255, 1 / 255, 1 / 255),
        "decode": {
            "_target_": "runner.tasks.detection.Ssd",
            "grids": [38, 19, 10, 5, 3, 1],
            "steps": [8, 16, 32, 64, 100, 300],
            "scales": [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
            "aspect_ratios": [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
            "score": 0.01,
            "iou": 0.45,
            "keep": 200,
        },
    },
    "ssdlite320_mobilenet_v3_large": {
        **_STRETCHED,
        "input_size": (320, 320),
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "decode": {
            "_target_": "runner.tasks.detection.Ssd",
            "grids": [20, 10, 5, 3, 2, 1],
            "scales": [0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0],
            "aspect_ratios": [[2, 3]] * 6,
            "candidates_per_class": 300,
            "score": 0.001,
            "iou": 0.55,
            "keep": 300,
        },
    },
    "retinanet_resnet50_fpn": {
        **_LANDSCAPE,
        "rename": _HEADS,
        "decode": {"_target_": "runner.tasks.detection.RetinaNet", "score": 0.05, "iou": 0.5, "keep": 300},
    },
    "retinanet_resnet50_fpn_v2": {
        **_LANDSCAPE,
        "decode": {"_target_": "runner.tasks.detection.RetinaNet", "score": 0.05, "iou": 0.5, "keep": 300},
    },
    "fcos_resnet50_fpn": {
        **_LANDSCAPE,
        "outputs": ("logits", "boxes", "centreness"),
        "decode": {"_target_": "runner.tasks.detection.Fcos", "score": 0.2, "iou": 0.6, "keep": 100},
    },
}
"""What each detector has beside its weights: fields of runner.config.libraries.Network."""
_COMMON: dict[str, Any] = {"task": "detection", "outputs": ("logits", "boxes"), "top1_agreement": None}
_COCO_CLASSES = 91


def facts(name: str, categories: int) -> dict[str, Any] | str:
    """Return what a detector has beside its weights of that many categories, or why it cannot be run."""
    if name not in DETECTORS:
        return (
            "it is one of torchvision.models.detection with two stages, whose second works on what non-maximum "
            "suppression keeps of the first's boxes, inside the network"
        )
    known = DETECTORS[name]
    decode = known["decode"] | ({"categories": "coco91"} if categories == _COCO_CLASSES else {})
    return {**_COMMON, **known, "decode": decode}

"""Networks of libraries: building them to match their weights, and converting checkpoints by timm."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from runner.core import CheckpointError, ConfigError
from runner.core.lazy import timm, torch, torchvision
from runner.networks._raw_heads import raw_heads

LONGEST_REASON = 400
"""Characters of what a library says of a checkpoint: it may list every parameter."""
_OWN_SCALING = ("googlenet", "inception_v3")
"""Networks that must rescale their inputs internally to match their weights."""
_TIMM_ENCODER = re.compile(r"tu-[A-Za-z0-9_.-]+")
"""A network in timm itself: hf-hub: and local-dir: load from elsewhere."""
_WITHOUT_EPSILON = ("retinanet_resnet50_fpn",)
"""Networks whose weights torchvision runs with batch normalisation that adds nothing to the variance."""


def build_torchvision(arch: str, size: int | None, num_classes: int) -> torch.nn.Module:
    """Build the network without weights, configured as for its weights.

    A classifier takes images of `size` x `size`; `size` is None for other networks. Detectors give what their heads
    predict, without anchors and non-maximum suppression.
    """
    name = arch.partition(".")[0]
    for kind, build in _BUILDERS.items():
        if name in torchvision.models.list_models(module=_package(kind)):
            return build(name, size, num_classes)
    raise ValueError(f"{name} is none of torchvision's networks for {', '.join(_BUILDERS)}")


def _package(kind: str) -> Any:
    return torchvision.models if kind == "classification" else getattr(torchvision.models, kind)


def _classifier(name: str, size: int | None, num_classes: int) -> torch.nn.Module:
    settings: dict[str, Any] = {}
    if name in _OWN_SCALING:
        settings = {"transform_input": True, "init_weights": False}
    elif name.startswith("vit_"):
        settings = {"image_size": size}
    network: torch.nn.Module = torchvision.models.get_model(name, weights=None, num_classes=num_classes, **settings)
    return network


def _detector(name: str, size: int | None, num_classes: int) -> torch.nn.Module:
    network = torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=num_classes)
    if name in _WITHOUT_EPSILON:
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 0.0
    return raw_heads(network)


def _segmenter(name: str, size: int | None, num_classes: int) -> torch.nn.Module:
    # the published weights of all but LR-ASPP hold the auxiliary classifier of the training
    settings: dict[str, Any] = {} if name.startswith("lraspp_") else {"aux_loss": True}
    network: torch.nn.Module = torchvision.models.get_model(
        name, weights=None, weights_backbone=None, num_classes=num_classes, **settings
    )
    return network


_BUILDERS: dict[str, Callable[[str, int | None, int], torch.nn.Module]] = {
    "classification": _classifier,
    "detection": _detector,
    "segmentation": _segmenter,
}
"""Kind of network, a package of torchvision.models -> its builder from name, image size and number of classes."""


def build_smp(arch: str | None, encoder: str, classes: int) -> torch.nn.Module:
    """Build a network of segmentation_models_pytorch without weights: `arch` over `encoder`.

    Raises:
        ConfigError: the library is not installed, or has no such network or encoder.
    """
    try:
        import segmentation_models_pytorch as smp
    except ImportError as error:
        raise ConfigError(
            "model=smp needs segmentation_models_pytorch, which is not installed",
            "pip install 'model-zoo-runner[segmentation]'",
        ) from error
    archs = {each.__name__ for each in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    if arch not in archs:
        raise ConfigError(
            f"model.arch is {arch!r}, which is no network of segmentation_models_pytorch {smp.__version__}",
            f"choose model.arch from {', '.join(sorted(archs))}",
        )
    if encoder not in smp.encoders.get_encoder_names() and not _TIMM_ENCODER.fullmatch(encoder):
        raise ConfigError(
            f"model.network.encoder is {encoder!r}, which is no encoder of segmentation_models_pytorch",
            "choose one of its encoders, as in model.network.encoder=resnet34, or tu-NAME for one of timm",
        )
    network: torch.nn.Module = smp.create_model(arch, encoder, encoder_weights=None, classes=classes)
    return network


def adapt_timm_checkpoint(
    state_dict: dict[str, torch.Tensor], network: torch.nn.Module, model_name: str
) -> Mapping[str, torch.Tensor]:
    """Convert a published state dict to the names and shapes of timm's `model_name`, using timm's own conversion.

    One that already has the network's names and shapes, such as from training with timm, is returned unchanged.

    Raises:
        CheckpointError: timm rejects it.
    """
    own = network.state_dict()
    if state_dict.keys() == own.keys() and all(state_dict[name].shape == own[name].shape for name in own):
        return state_dict
    overlay = {"state_dict": dict(state_dict), "custom_load": False}
    try:
        loaded = timm.create_model(model_name, pretrained=True, pretrained_cfg_overlay=overlay)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"timm cannot read this checkpoint as one of {model_name}: {textwrap.shorten(str(error), LONGEST_REASON)}",
            "use this network's checkpoint, or one with timm's own parameter names",
        ) from error
    result: dict[str, torch.Tensor] = loaded.state_dict()
    return result

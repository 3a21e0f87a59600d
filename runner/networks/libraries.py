"""Networks of timm and torchvision: building them to match their weights, and converting checkpoints by timm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.core import CheckpointError
from runner.core.lazy import timm, torch, torchvision

_OWN_SCALING = ("googlenet", "inception_v3")
"""Networks that must rescale their inputs internally to match their weights."""


def build_torchvision(arch: str, size: int, num_classes: int) -> torch.nn.Module:
    """Build the network without weights, configured as for its weights, for images of `size` x `size`."""
    models = torchvision.models
    name = arch.partition(".")[0]
    if name not in models.list_models(module=models):  # others would download backbone weights
        raise ValueError(f"{name} is none of torchvision's classifiers")
    settings: dict[str, Any] = {}
    if name in _OWN_SCALING:
        settings = {"transform_input": True, "init_weights": False}
    elif name.startswith("vit_"):
        settings = {"image_size": size}
    network: torch.nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **settings)
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
            f"timm cannot read this checkpoint as one of {model_name}: {error}",
            "use this network's checkpoint, or one with timm's own parameter names",
        ) from error
    result: dict[str, torch.Tensor] = loaded.state_dict()
    return result

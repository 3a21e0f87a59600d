"""timm's networks: what it says of them, and its own reading of checkpoints.

A name may carry a tag: resnet18.a1_in1k are one set of weights of ResNet-18, resnet18 are timm's default ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.errors import CheckpointError
from runner.libraries.catalogue import Catalogue, Network

if TYPE_CHECKING:
    import torch

_OWN_RELEASE = re.compile(
    r"https://github\.com/(?:rwightman|huggingface)/pytorch-image-models/.*-(?P<digits>[0-9a-f]{8,64})\.pth"
)
"""A plain state dict whose name carries its hash."""
_REPOSITORY = "https://github.com/huggingface/pytorch-image-models"


def catalogue() -> Catalogue:
    """What the installed timm says of its networks."""
    import timm

    networks: dict[str, Network] = {}
    refused: dict[str, str] = {}
    for name in {*timm.list_models(), *timm.list_pretrained()}:
        said = timm.models.get_pretrained_cfg(name)
        reason = _refusal(said)
        if reason is not None:
            refused[name] = reason
        else:
            networks[name] = _described(said, timm.__version__)
    return Catalogue(dict(sorted(networks.items())), dict(sorted(refused.items())))


def _refusal(said: Any) -> str | None:
    channels, height, width = said.input_size
    if channels != 3 or height != width:
        return f"it takes inputs of {list(said.input_size)}, where pictures here are square and of three channels"
    if said.crop_mode not in ("center", "squash"):
        return f"timm's crop mode {said.crop_mode!r} for it adds borders to pictures, which model.preprocess cannot say"
    return None


def _described(said: Any, version: str) -> Network:
    """A timm.models.PretrainedCfg, by the evaluation transforms that timm makes of it."""
    size = said.input_size[1]
    tagged = f"{said.architecture}.{said.tag}" if said.tag else said.architecture
    release = _OWN_RELEASE.fullmatch(said.url or "")
    if release is not None:
        file, url, sha256 = said.url.rpartition("/")[2], said.url, release["digits"]
    elif said.hf_hub_id:
        stored = said.hf_hub_filename or "model.safetensors"
        url, sha256 = f"https://huggingface.co/{said.hf_hub_id}/resolve/main/{stored}", None
        file = f"{tagged}.{stored.rpartition('.')[2]}"
    else:
        url, sha256 = said.url or None, None
        file = url.rpartition("/")[2] if url else f"{tagged}.pth"
    return Network(
        size=size,
        resize=math.floor(size / said.crop_pct),
        keep_ratio=said.crop_mode == "center",
        interpolation=said.interpolation,
        mean=tuple(said.mean),
        std=tuple(said.std),
        classes=max(said.num_classes, 0),
        reference=said.origin_url or f"{_REPOSITORY} @ v{version}",
        file=file,
        url=url,
        sha256=sha256,
    )


def adapt_checkpoint(
    state_dict: dict[str, torch.Tensor], network: torch.nn.Module, model_name: str
) -> Mapping[str, torch.Tensor]:
    """A published state dict in the names and shapes of timm's network `model_name`, as timm itself brings it there.

    One that has the network's own names and shapes already is taken as it is, such as that of a training with timm.

    Raises:
        CheckpointError: timm refuses it.
    """
    import timm

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

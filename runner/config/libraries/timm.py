"""Metadata of timm's networks.

A name may have a tag: resnet18.a1_in1k is one set of weights of ResNet-18, resnet18 stands for timm's default.
"""

from __future__ import annotations

import math
import re
from typing import Any

from runner.config.libraries.catalogue import Catalogue, Network
from runner.core.lazy import timm

_OWN_RELEASE = re.compile(
    r"https://github\.com/(?:rwightman|huggingface)/pytorch-image-models/.*-(?P<digits>[0-9a-f]{8,64})\.pth"
)
"""URL of a plain state dict whose file name contains its hash."""
_REPOSITORY = "https://github.com/huggingface/pytorch-image-models"


def catalogue() -> Catalogue:
    """Return the metadata of all networks of the installed timm."""
    networks: dict[str, Network] = {}
    refused: dict[str, str] = {}
    for name in {*timm.list_models(), *timm.list_pretrained()}:
        cfg = timm.models.get_pretrained_cfg(name)
        reason = _refusal(cfg)
        if reason is not None:
            refused[name] = reason
        else:
            networks[name] = _described(cfg, timm.__version__)
    return Catalogue(dict(sorted(networks.items())), dict(sorted(refused.items())))


def _refusal(cfg: Any) -> str | None:
    channels, height, width = cfg.input_size
    if channels != 3 or height != width:
        return f"it takes inputs of {list(cfg.input_size)}, where pictures here are square and of three channels"
    if cfg.crop_mode not in ("center", "squash"):
        return f"timm's crop mode {cfg.crop_mode!r} for it adds borders to pictures, which model.preprocess cannot say"
    return None


def _described(cfg: Any, version: str) -> Network:
    """Convert a timm.models.PretrainedCfg, with the evaluation transforms that timm derives from it."""
    size = cfg.input_size[1]
    tagged = f"{cfg.architecture}.{cfg.tag}" if cfg.tag else cfg.architecture
    release = _OWN_RELEASE.fullmatch(cfg.url or "")
    if release is not None:
        file, url, sha256 = cfg.url.rpartition("/")[2], cfg.url, release["digits"]
    elif cfg.hf_hub_id:
        stored = cfg.hf_hub_filename or "model.safetensors"
        url, sha256 = f"https://huggingface.co/{cfg.hf_hub_id}/resolve/main/{stored}", None
        file = f"{tagged}.{stored.rpartition('.')[2]}"
    else:
        url, sha256 = cfg.url or None, None
        file = url.rpartition("/")[2] if url else f"{tagged}.pth"
    return Network(
        input_size=(size, size),
        resize=math.floor(size / cfg.crop_pct),
        keep_ratio=cfg.crop_mode == "center",
        crop=size,
        interpolation=cfg.interpolation,
        mean=tuple(cfg.mean),
        std=tuple(cfg.std),
        classes=max(cfg.num_classes, 0),
        reference=cfg.origin_url or f"{_REPOSITORY} @ v{version}",
        file=file,
        url=url,
        sha256=sha256,
    )

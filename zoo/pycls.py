"""Renaming of checkpoints of pycls (github.com/facebookresearch/pycls at f20820e, pycls/models/effnet.py) for timm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_AROUND = {
    "stem.conv": "conv_stem",
    "stem.bn": "bn1",
    "head.conv": "conv_head",
    "head.conv_bn": "bn2",
    "head.fc": "classifier",
}
_IN_BLOCK = {"dwise": "conv_dw", "se.f_ex.0": "se.conv_reduce", "se.f_ex.2": "se.conv_expand"}
_IN_EXPANDING_BLOCK = {
    "exp": "conv_pw",
    "exp_bn": "bn1",
    "dwise_bn": "bn2",
    "lin_proj": "conv_pwl",
    "lin_proj_bn": "bn3",
}
_IN_FIRST_BLOCK = {"dwise_bn": "bn1", "lin_proj": "conv_pw", "lin_proj_bn": "bn2"}

_BLOCK = re.compile(r"s(?P<stage>\d+)\.b(?P<block>\d+)\.(?P<layer>.+)\.(?P<parameter>\w+)")


def efficientnet(state_dict: Mapping[str, torch.Tensor], network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Rename an EffNet's parameters to those of timm's EfficientNet; unknown names are unchanged."""
    return {_renamed(name, state_dict): value for name, value in state_dict.items()}


def _renamed(name: str, state_dict: Mapping[str, torch.Tensor]) -> str:
    match = _BLOCK.fullmatch(name)
    if match is None:
        layer, _, parameter = name.rpartition(".")
        return f"{_AROUND.get(layer, layer)}.{parameter}"
    stage, block = int(match["stage"]), int(match["block"])
    expands = f"s{stage}.b{block}.exp.weight" in state_dict
    layers = _IN_BLOCK | (_IN_EXPANDING_BLOCK if expands else _IN_FIRST_BLOCK)
    layer = layers.get(match["layer"], match["layer"])
    return f"blocks.{stage - 1}.{block - 1}.{layer}.{match['parameter']}"

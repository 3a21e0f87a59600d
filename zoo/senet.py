"""Conversion of squeeze-and-excitation checkpoints with linear squeeze layers to timm's names and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_SQUEEZE = re.compile(r"(?P<block>layer\d\.\d+)\.(?P<layer>fc[12])\.(?P<parameter>weight|bias)")


def squeeze_as_convolutions(
    state_dict: Mapping[str, torch.Tensor], network: torch.nn.Module
) -> dict[str, torch.Tensor]:
    """Convert the linear layers `layerN.M.fc1` and `fc2` to the 1x1 convolutions `layerN.M.se.fc1` and `se.fc2`."""
    adapted = {}
    for name, value in state_dict.items():
        match = _SQUEEZE.fullmatch(name)
        if match is None:
            adapted[name] = value
            continue
        weights = value[:, :, None, None] if match["parameter"] == "weight" else value
        adapted[f"{match['block']}.se.{match['layer']}.{match['parameter']}"] = weights
    return adapted

"""Checkpoints of squeeze-and-excitation networks whose squeeze is made of linear layers, in timm's names and shapes."""

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
    """`layerN.M.fc1` and `fc2`, linear layers, as the 1x1 convolutions `layerN.M.se.fc1` and `se.fc2`."""
    adapted = {}
    for name, value in state_dict.items():
        found = _SQUEEZE.fullmatch(name)
        if found is None:
            adapted[name] = value
            continue
        weights = value[:, :, None, None] if found["parameter"] == "weight" else value
        adapted[f"{found['block']}.se.{found['layer']}.{found['parameter']}"] = weights
    return adapted

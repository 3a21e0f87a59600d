"""Leaving out of checkpoints what only training uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn


def without(state_dict: Mapping[str, Tensor], network: nn.Module, prefixes: Sequence[str]) -> dict[str, Tensor]:
    """Return the parameters except those of the layers `prefixes`, such as auxiliary heads that `network` lacks."""
    heads = tuple(f"{prefix}." for prefix in prefixes)
    return {name: value for name, value in state_dict.items() if not name.startswith(heads)}

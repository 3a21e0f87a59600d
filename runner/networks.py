"""PyTorch networks from a specification and a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from runner.artifacts import TensorSpec
from runner.targets import Target


@dataclass(frozen=True)
class CheckpointLayout:
    """How the parameter names of a published checkpoint map to the network's (runner.schema.CheckpointConfig)."""

    unwrap: tuple[str, ...]
    rename: dict[str, str]
    drop_background: str | None
    settings: Target | None


@dataclass(frozen=True)
class NetworkSpec:
    target: Target
    layout: CheckpointLayout
    inputs: tuple[TensorSpec, ...]

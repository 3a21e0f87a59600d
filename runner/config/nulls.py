"""Overrides of keys that are null, applied so that each may become a mapping, and an error names the override.

OmegaConf 2.3 cannot merge a mapping into one that is null, nor set a key below it: `model.checkpoint.adapt={...}` ends
in an AttributeError, and `tool.compiler.x=1` in an AssertionError, of which neither says what was typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig
from omegaconf._utils import split_key

from runner.config import keys
from runner.core import ConfigError

_apply_as_hydra = ConfigLoaderImpl._apply_overrides_to_config


def register() -> None:
    """Make Hydra apply overrides with `apply`."""
    ConfigLoaderImpl._apply_overrides_to_config = staticmethod(apply)  # type: ignore[assignment,method-assign]


def apply(overrides: Sequence[Override], config: DictConfig) -> None:
    """Apply overrides to a configuration one by one.

    Raises:
        ConfigError: OmegaConf cannot apply one, and says so by an error of Python's own.
        ConfigCompositionException: Hydra refuses one.
    """
    for override in overrides:
        if not override.is_delete():
            _fill(config, split_key(override.key_or_group), isinstance(override.value(), dict))
        try:
            _apply_as_hydra([override], config)
        except (AssertionError, AttributeError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{override.input_line} gives {override.key_or_group} a value of another type than it takes",
                keys.SEE_ALL,
            ) from error


def _fill(node: Any, parts: Sequence[str], is_mapping: bool) -> None:
    """Make the mappings empty that are null and hold the key of these parts; its own value, too, if it `is_mapping`."""
    for part in parts if is_mapping else parts[:-1]:
        node = node._get_node(part, validate_access=False) if isinstance(node, DictConfig) else None
        if isinstance(node, DictConfig) and node._is_none():
            kind = node._metadata.ref_type
            node._set_value(kind if is_dataclass(kind) else {})

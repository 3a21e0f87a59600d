"""Composition of configurations in this process, as on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import DictConfig

from runner.config import flags, groups, nulls, options, overrides, refusals, schema, sources
from runner.config.groups import CONF
from runner.core import ConfigError


def compose(arguments: Sequence[str]) -> DictConfig:
    """Return the configuration of `python -m runner ARGUMENTS`; soc=auto detects no chip here.

    With --config-dir DIR and allow=[...], packages beside DIR become importable.

    Raises:
        ConfigError: the arguments are rejected, such as an unknown option, a sweep, or a flag.
    """
    given_flags, _ = flags.split(groups.split_config_dir(arguments)[1])
    if given_flags:
        raise ConfigError(f"{given_flags[0]} is a flag, and only key=value is taken here", "leave it out")
    config_dir, adapted = groups.split_config_dir(overrides.adapt(arguments, list))
    register(adapted)
    if config_dir:
        if any(argument.lstrip("+").startswith("allow=") for argument in adapted):
            options.make_importable(config_dir)
        adapted = [*adapted, _search_path(config_dir)]
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            return hydra_compose("config", overrides=adapted)
    except Exception as error:  # Hydra's assertions and ValueErrors too, which of_hydra knows by where they are raised
        known = refusals.of_hydra(error, arguments)
        if known is None:
            raise
        raise known from error


def register(adapted: Sequence[str]) -> None:
    """Make Hydra compose the runner's configurations in this process, given the adapted command line."""
    overrides.register_batches(adapted)
    schema.register()
    sources.register()
    nulls.register()


def _search_path(config_dir: Path) -> str:
    """Return the override that is equivalent to --config-dir."""
    return f"hydra.searchpath=[{overrides.quoted(f'file://{config_dir.absolute()}')}]"

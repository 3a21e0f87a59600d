"""Configurations composed in this process, as the command line composes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from runner import config_folders, options, overrides, schema
from runner.errors import ConfigError


def compose(arguments: Sequence[str]) -> DictConfig:
    """The configuration that `python -m runner ARGUMENTS` runs; soc=auto finds no chip here.

    With --config-dir DIR and allow=[...] among them the packages beside DIR can be imported from then on.

    Raises:
        ConfigError: what Hydra refuses, such as an option that there is not, or a sweep.
    """
    config_dir, adapted = overrides.split_config_dir(overrides.adapt(arguments, list))
    overrides.register_batches(adapted)
    schema.register()
    config_folders.register()
    if config_dir:
        if any(argument.lstrip("+").startswith("allow=") for argument in adapted):
            options.make_importable(config_dir)
        adapted = [*adapted, _search_path(config_dir)]
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(overrides.CONF)):
            return hydra_compose("config", overrides=adapted)
    except MissingConfigException as error:
        raise options.missing(error) or _refused(error) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise _refused(error) from error


def _refused(error: Exception) -> ConfigError:
    cause = f" ({error.__cause__})" if isinstance(error.__cause__, OmegaConfBaseException) else ""
    return ConfigError(f"{error}{cause}", "correct it; python -m runner --help lists what can be chosen")


def _search_path(config_dir: Path) -> str:
    """What --config-dir is where there is no command line."""
    quoted = str(config_dir.absolute()).replace("'", "\\'")
    return f"hydra.searchpath=['file://{quoted}']"

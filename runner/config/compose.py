"""Composition of configurations in this process, as on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from runner.config import groups, options, overrides, schema, sources
from runner.config.groups import CONF
from runner.core import ConfigError


def compose(arguments: Sequence[str]) -> DictConfig:
    """Return the configuration of `python -m runner ARGUMENTS`; soc=auto detects no chip here.

    With --config-dir DIR and allow=[...], packages beside DIR become importable.

    Raises:
        ConfigError: Hydra rejects the arguments, such as an unknown option or a sweep.
    """
    config_dir, adapted = groups.split_config_dir(overrides.adapt(arguments, list))
    overrides.register_batches(adapted)
    schema.register()
    sources.register()
    if config_dir:
        if any(argument.lstrip("+").startswith("allow=") for argument in adapted):
            options.make_importable(config_dir)
        adapted = [*adapted, _search_path(config_dir)]
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            return hydra_compose("config", overrides=adapted)
    except MissingConfigException as error:
        raise options.missing(error) or _refused(error) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise _refused(error) from error


def _refused(error: Exception) -> ConfigError:
    cause = f" ({error.__cause__})" if isinstance(error.__cause__, OmegaConfBaseException) else ""
    return ConfigError(f"{error}{cause}", "correct it; python -m runner --help lists what can be chosen")


def _search_path(config_dir: Path) -> str:
    """Return the override that is equivalent to --config-dir."""
    quoted = str(config_dir.absolute()).replace("'", "\\'")
    return f"hydra.searchpath=['file://{quoted}']"

"""Configurations composed in this process, as the command line composes them."""

from __future__ import annotations

from collections.abc import Sequence

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from runner import overrides, schema
from runner.errors import ConfigError


def compose(arguments: Sequence[str]) -> DictConfig:
    """The configuration that `python -m runner ARGUMENTS` runs; soc=auto finds no chip here.

    Raises:
        ConfigError: what Hydra refuses, such as an option that there is not, or a sweep.
    """
    adapted = overrides.adapt(arguments, list)
    overrides.register_batches(adapted)
    schema.register()
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(overrides.CONF)):
            return hydra_compose("config", overrides=adapted)
    except (HydraException, OmegaConfBaseException) as error:
        cause = f" ({error.__cause__})" if isinstance(error.__cause__, OmegaConfBaseException) else ""
        raise ConfigError(f"{error}{cause}", "correct it; python -m runner --help lists what can be chosen") from error

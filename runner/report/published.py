"""The published figures of the models, as conf/model/ holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from runner import overrides
from runner.errors import ConfigError
from runner.schema import PublishedConfig

Published = Mapping[str, Sequence[PublishedConfig]]
"""The rows of each model's published tables, by the model's name."""


def of_models(names: Iterable[str], folder: Path = overrides.CONF / "model") -> dict[str, tuple[PublishedConfig, ...]]:
    """The published rows of the models that have a file in the folder; the other names are left out.

    Raises:
        ConfigError: a model's file is no YAML, or its rows are not what the schema asks for.
    """
    files = {path.stem: path for path in folder.glob("*.yaml")}
    return {name: _rows(files[name]) for name in sorted(set(names)) if name in files}


def _rows(path: Path) -> tuple[PublishedConfig, ...]:
    try:
        rows = yaml.safe_load(path.read_text()).get("published", [])
        return tuple(PublishedConfig(**row) for row in rows)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: its published figures cannot be read ({error})", "correct the file") from error

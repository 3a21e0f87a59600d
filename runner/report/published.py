"""The published figures of the models: of the zoo's own, of a user's folder, and as runs of any other kept them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from runner import options
from runner.errors import ConfigError
from runner.report.results import Result
from runner.schema import PublishedConfig

Published = Mapping[str, Sequence[PublishedConfig]]
"""The rows of each model's published tables, by the model's name."""
RUN_CONFIG = "config.yaml"
"""The resolved configuration, beside a run's result."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def of_results(results: Iterable[Result], config_dir: Path | None = None) -> dict[str, tuple[PublishedConfig, ...]]:
    """The published rows of the models that ran.

    They are those of the model's file, in the user's folder or the zoo's own; of a model without a file, those that its
    latest run was compared with.

    Raises:
        ConfigError: a model's file is no YAML, or its rows are not what the schema asks for.
    """
    ordered = sorted(results, key=lambda result: result.written_at)
    latest = {result.model: result for result in ordered if result.status == "ok"}
    files = options.files("model", config_dir)
    found = {}
    for name in sorted({result.model for result in ordered if result.model}):
        if name in files:
            found[name] = _rows(options.read(files[name]), files[name])
        elif name in latest:
            found[name] = _rows_of_run(Path(latest[name].path).parent / RUN_CONFIG)
    return found


def _rows_of_run(path: Path) -> tuple[PublishedConfig, ...]:
    """None where the run kept no configuration, or one of another version."""
    try:
        return _rows(yaml.load(path.read_text(), _Loader)["model"], path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError, ConfigError):
        return ()


def _rows(model: Mapping[str, Any], path: Path) -> tuple[PublishedConfig, ...]:
    try:
        return tuple(PublishedConfig(**row) for row in model.get("published") or [])
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: its published figures cannot be read ({error})", "correct the file") from error

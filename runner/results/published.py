"""Published figures of models: from the zoo, from a user's folder, or from the saved configuration of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from runner.config import groups, options, yaml_files
from runner.config.schema import PublishedConfig
from runner.core import ConfigError
from runner.results.differences import CONFIG
from runner.results.result import Result

Published = Mapping[str, Sequence[PublishedConfig]]
"""The rows of each model's published tables, by the model's name."""


def of_results(results: Iterable[Result], config_dir: Path | None = None) -> dict[str, tuple[PublishedConfig, ...]]:
    """Return the published rows of the models that ran.

    They are read from the model's file, in the user's folder or the zoo; for a model without a file, from the saved
    configuration of its latest run.

    Raises:
        ConfigError: a model's file is not YAML, or its rows do not match the schema.
    """
    ordered = sorted(results, key=lambda result: result.written_at)
    latest = {result.model: result for result in ordered if result.status == "ok"}
    files = groups.files("model", config_dir)
    rows = {}
    for name in sorted({result.model for result in ordered if result.model}):
        if name in files:
            rows[name] = _rows(options.read(files[name]), files[name])
        elif name in latest:
            rows[name] = _rows_of_run(Path(latest[name].path).parent / CONFIG)
    return rows


@cache
def chips_of(soc: str) -> int:
    """Return how many chips a card of one of the runner's own SoCs has; 1 for others."""
    file = groups.files("soc").get(soc)
    return int(options.read(file).get("chips", 1)) if file else 1


def _rows_of_run(path: Path) -> tuple[PublishedConfig, ...]:
    """Return no rows if the run saved no configuration, or one of another version."""
    try:
        return _rows(yaml_files.load(path)["model"], path)
    except (TypeError, KeyError, ConfigError):
        return ()


def _rows(model: Mapping[str, Any], path: Path) -> tuple[PublishedConfig, ...]:
    try:
        return tuple(map(_row, model.get("published") or []))
    except (TypeError, AttributeError, KeyError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: its published figures cannot be read ({error})", "correct the file") from error


def _row(row: Mapping[str, Any]) -> PublishedConfig:
    named = PublishedConfig(**{**row, "soc": str(row["soc"])})  # YAML takes a SoC such as 310 for a number
    return msgspec.convert(vars(named), PublishedConfig)

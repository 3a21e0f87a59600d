"""What differs between two runs: their configurations, environments, or any other nested values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.config import yaml_files
from runner.core import ConfigError, DataError
from runner.results.result import Performance, Result

ABSENT = "(none)"
CONFIG = "config.yaml"
"""The file of the resolved configuration, beside a run's result."""
Values = Mapping[str, object]
"""Values by name; a value may be such a mapping again."""


@dataclass(frozen=True)
class Difference:
    """A name whose value differs, such as `batch.size`; ABSENT on a side that lacks it."""

    name: str
    before: object
    after: object


def differences(before: Values, after: Values, prefix: str = "") -> Iterator[Difference]:
    """Yield what differs between nested values, in the order of their names' first use.

    The mappings in a list are told apart by their `name`, published figures by SoC and batch size, and others by their
    place in the list. NaN is the same as NaN.
    """
    for key in dict.fromkeys([*before, *after]):
        name = f"{prefix}{key}" if str(key).startswith("[") else f"{prefix}.{key}".lstrip(".")
        old, new = before.get(key, ABSENT), after.get(key, ABSENT)
        parts = _as_mapping(old), _as_mapping(new)
        if isinstance(parts[0], Mapping) and isinstance(parts[1], Mapping):
            yield from differences(parts[0], parts[1], name)
        elif not _same(old, new):
            yield Difference(name, old, new)


def configuration(run: Path) -> Values | None:
    """Return the resolved configuration that a run saved in its folder; None if it saved none.

    Raises:
        DataError: it cannot be read.
    """
    path = run / CONFIG
    if not path.exists():
        return None
    try:
        saved = yaml_files.load(path)
    except ConfigError as error:
        raise DataError(error.message, "name another run") from error
    if not isinstance(saved, Mapping):
        raise DataError(f"{path} holds no configuration", "name another run")
    return saved


def environment(run: Result) -> Values:
    """Return the hardware and software of a run, with the measured devices; what it does not say is left out."""
    measured = run.performance or Performance()
    said = {**asdict(run.environment), "devices": ", ".join(measured.devices), "chips": measured.chips}
    return {name: value for name, value in said.items() if value}


def as_text(difference: Difference) -> tuple[str, str]:
    """Return the two values as text: floats with six digits, if those differ."""
    old, new = difference.before, difference.after
    if isinstance(old, float) and isinstance(new, float):
        short = f"{old:.6g}", f"{new:.6g}"
        if short[0] != short[1]:
            return short
    return _text(old), _text(new)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_text(item)}' for key, item in value.items())}}}"
    return str(value)


def _as_mapping(value: object) -> object:
    """Return a list of mappings as a mapping, and any other value as it is."""
    if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
        return value
    labels = [_label(item) for item in value]
    if None in labels or len(set(labels)) < len(labels):
        labels = [str(index) for index in range(len(value))]
    return {f"[{label}]": item for label, item in zip(labels, value, strict=True)}


def _label(item: Values) -> str | None:
    if "soc" in item and "batch" in item:
        return f"{item['soc']} batch {item['batch']}"
    return str(item["name"]) if "name" in item else None


def _same(old: object, new: object) -> bool:
    both_nan = isinstance(old, float) and isinstance(new, float) and math.isnan(old) and math.isnan(new)
    return both_nan or (old == new and isinstance(old, bool) == isinstance(new, bool))

"""Format values of metrics for people, with their unit."""

from __future__ import annotations

import math

from runner.results.result import Meaning

SIGNS = {"percent": "%"}
"""Signs printed after a number, for units whose name is not the sign."""
_FORMATS = {"percent": ".2f", "dB": ".2f"}


def sign(unit: str) -> str:
    """Return the sign printed after a number of a unit; empty for a plain number."""
    return SIGNS.get(unit, unit)


def number(value: float, unit: str, plain: str = ".6g") -> str:
    """Format a number without its unit; `plain` is the format of a unit without one of its own."""
    return format(value, _FORMATS.get(unit, plain)) if math.isfinite(value) else f"{value}"


def with_unit(value: float | None, meaning: Meaning) -> str:
    """Format a value with its unit, as in "71.00 %", "29.25 dB" or "0.9975"; NaN for None."""
    shown = "NaN" if value is None or math.isnan(value) else number(value, meaning.unit)
    return f"{shown} {sign(meaning.unit)}".rstrip()

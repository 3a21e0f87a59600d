"""Format values of metrics for people, with their unit."""

from __future__ import annotations

import math

from runner.results.gates import Gate
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


def of_gate(gate: Gate, meaning: Meaning) -> str:
    """Describe what a gate compared, as in "top1 99.07 (published 99.9, at most 1.0 below)", with its reason.

    `meaning` is that of the metric that an accuracy gate judges.
    """
    name = gate.name.removeprefix("accuracy.")
    about = [_expectation(gate, meaning), gate.reason]
    shown = "" if gate.measured is None else f" {number(gate.measured, meaning.unit)}"
    told = "; ".join(filter(None, about))
    return f"{name}{shown}" + (f" ({told})" if told else "")


def _expectation(gate: Gate, meaning: Meaning) -> str:
    if gate.expected is None:
        return ""
    is_published = gate.name == "throughput" or gate.name.startswith("accuracy.")
    told = f"{'published' if is_published else 'at least'} {gate.expected:.6g}"
    told += f" for {gate.expected_for}" if gate.expected_for else ""
    if not gate.tolerance:
        return told
    allowed = round(gate.tolerance, 2) or gate.tolerance
    return f"{told}, at most {allowed} {'above' if meaning.better == 'lower' else 'below'}"

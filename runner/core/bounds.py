"""Bounds of values, declared in the dataclass field and checked in one place.

    @dataclass
    class Options:
        warmup: int = bounded(3, least=0)
        input: str = one_of("random", "real")

OmegaConf ignores field metadata, so this works for configurations and for the arguments of hooks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import MISSING, field, fields, is_dataclass
from typing import Any

from runner.core.errors import ConfigError, Problem
from runner.core.text import did_you_mean

_LEAST, _ABOVE, _MOST, _CHOICES, _SHOWN_AS = "least", "above", "most", "choices", "shown_as"


def bounded(
    default: Any = MISSING,
    *,
    least: float | None = None,
    above: float | None = None,
    most: int | None = None,
    shown_as: str | None = None,
) -> Any:
    """Return a dataclass field for a finite number of at least `least`, or above `above`; None is allowed.

    `most`, beside `least`, is the largest. `shown_as` is its name in messages, if users type another name than the
    field's path.
    """
    return field(default=default, metadata={_LEAST: least, _ABOVE: above, _MOST: most, _SHOWN_AS: shown_as})


def one_of(*choices: str, default: str | None = None, shown_as: str | None = None) -> Any:
    """Return a dataclass field for one of `choices`, by default the first; `shown_as` is its name in messages."""
    return field(default=default or choices[0], metadata={_CHOICES: choices, _SHOWN_AS: shown_as})


def problems(holder: Any, where: str = "") -> Iterator[Problem]:
    """Yield the out-of-bounds fields of a dataclass instance and of its nested dataclasses."""
    for each in fields(holder):
        value = getattr(holder, each.name)
        name = each.metadata.get(_SHOWN_AS) or f"{where}.{each.name}".lstrip(".")
        if is_dataclass(value):
            yield from problems(value, name)
        elif isinstance(value, list) and value and all(map(is_dataclass, value)):
            for index, item in enumerate(value):
                yield from problems(item, f"{name}[{index}]")
        elif value is not None:
            yield from _problems(name, value, each.metadata)


def check(holder: Any, where: str) -> None:
    """Check the fields of a dataclass instance, as `problems` does.

    Raises:
        ConfigError: one is out of its bounds.
    """
    for problem in problems(holder, where):
        raise ConfigError(problem.message, problem.fix)


def _problems(name: str, value: Any, bounds: Any) -> Iterator[Problem]:
    choices = bounds.get(_CHOICES)
    if choices is not None and value not in choices:
        hint = did_you_mean(str(value), choices, 1)
        yield Problem(f"{name} is {value!r}", f"{hint} choose {name} from {', '.join(choices)}".lstrip())
    least, above, most = bounds.get(_LEAST), bounds.get(_ABOVE), bounds.get(_MOST)
    if least is None and above is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    inside = (
        number
        and math.isfinite(value)
        and (least is None or value >= least)
        and (above is None or value > above)
        and (most is None or value <= most)
    )
    if not inside:
        kind = "whole number" if isinstance(least, int) and not isinstance(value, float) else "number"
        limit = f"of at least {least:g}" if least is not None else f"above {above:g}"
        limit += "" if most is None else f" and at most {most}"
        shown = f"{value:g}" if isinstance(value, float) else repr(value)
        yield Problem(f"{name} is {shown}", f"give a {kind} {limit}, as {name}={_example(least, above)}")


def _example(least: float | None, above: float | None) -> str:
    return f"{max(least, 1):g}" if least is not None else f"{(above or 0) + 1:g}"

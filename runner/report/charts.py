"""Draw line charts over batch sizes, and over time, as inline SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Literal

from runner.report.html_text import escaped

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 50, 8, 14, 38
LOGARITHMIC_FROM = 20.0
"""Ratio of largest to smallest value from which the vertical axis is logarithmic."""
COLOURS = 8
"""Classes c0 to c7 of the page's style sheet."""
DRAWN_FROM, DRAWN_TO = 1e-30, 1e30
"""Values beyond are in the tables alone: no measurement has them, and arithmetic on an axis could overflow."""
MOST_TICKS = 12
MOST_DAYS = 4
"""How many dates are written below a chart over time."""

Style = Literal["solid", "dashed", "dotted"]
Point = tuple[float, float]
"""A batch size, or a time in seconds since the epoch, and the value."""


@dataclass(frozen=True)
class Line:
    """Named points; `colour` is its CSS class; published lines are dashed, p99 lines dotted.

    `apart` are points of measurements that are not valid: drawn hollow, and not joined by the line.
    """

    name: str
    points: tuple[Point, ...]
    colour: int
    style: Style = "solid"
    apart: tuple[Point, ...] = ()


@dataclass(frozen=True)
class _Axis:
    """A horizontal axis: its name, where a place lies, what is written below it, and a place in words."""

    name: str
    across: Callable[[float], float]
    labels: Sequence[tuple[float, str]]
    in_words: Callable[[float], str]


def chart(title: str, unit: str, lines: Sequence[Line]) -> str:
    """Return a figure over batch sizes with its legend as HTML; empty if no line has a point that can be drawn."""
    drawn = _drawable(lines)
    if not drawn:
        return ""
    return _figure(title, unit, drawn, _by_batch(_places(drawn)), _up(_values(drawn)), _scale(drawn))


def over_time(title: str, unit: str, lines: Sequence[Line]) -> str:
    """Return a figure over time with its legend as HTML; empty if no line has two points.

    The vertical axis spans the values, so that small changes can be seen.
    """
    drawn = [line for line in _drawable(lines) if len(line.points) + len(line.apart) > 1]
    return _figure(title, unit, drawn, _by_day(_places(drawn)), _fitted(_values(drawn))) if drawn else ""


Up = tuple[Callable[[float], float], list[float]]
"""The function from a value to y, and the values of the ticks."""


def _figure(title: str, unit: str, drawn: Sequence[Line], axis: _Axis, up: Up, scale: str = "") -> str:
    height_of, ticks = up
    label = escaped(f"{title} in {unit} by {axis.name}")
    elements = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">']
    elements += [_tick(height_of(value), value) for value in ticks]
    elements += [
        f'<text class="axis" x="{axis.across(place):.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{text}</text>'
        for place, text in axis.labels
    ]
    elements.append(f'<text class="axis" x="{WIDTH - RIGHT}" y="{HEIGHT - 3}" text-anchor="end">{axis.name}</text>')
    elements += [_polyline(line, axis, height_of, unit) for line in drawn]
    elements.append("</svg>")
    legend = "".join(_legend(line) for line in drawn)
    legend += "<li>hollow: not a valid measurement</li>" if any(line.apart for line in drawn) else ""
    told = f" ({escaped(unit)}{scale})" if unit or scale else ""
    return (
        f"<figure><figcaption>{escaped(title)}{told}</figcaption>{''.join(elements)}"
        f'<ul class="legend">{legend}</ul></figure>'
    )


def _drawable(lines: Sequence[Line]) -> list[Line]:
    kept = (replace(line, points=_in_range(line.points), apart=_in_range(line.apart)) for line in lines)
    return [replace(line, colour=line.colour % COLOURS) for line in kept if line.points or line.apart]


def _in_range(points: Sequence[Point]) -> tuple[Point, ...]:
    return tuple(sorted((place, value) for place, value in points if DRAWN_FROM <= value <= DRAWN_TO and place > 0))


def _places(lines: Sequence[Line]) -> list[float]:
    return sorted({place for line in lines for place, _ in (*line.points, *line.apart)})


def _values(lines: Sequence[Line]) -> list[float]:
    return [value for line in lines for _, value in (*line.points, *line.apart)]


def _scale(lines: Sequence[Line]) -> str:
    return ", logarithmic" if _is_logarithmic(_values(lines)) else ""


def _by_batch(batches: Sequence[float]) -> _Axis:
    """Return an axis on which doubling the batch size is always as wide."""
    across = _between(math.log2(batches[0]), math.log2(batches[-1]))

    def place(batch: float) -> float:
        return across(math.log2(batch))

    labels = [(batch, f"{batch:g}") for batch in _spread(batches, place)]
    return _Axis("batch size", place, labels, lambda batch: f"batch {batch:g}")


def _by_day(times: Sequence[float]) -> _Axis:
    """Return an axis of dates in UTC, the first and the last among those written."""
    first, last = times[0], times[-1]
    across = _between(first, last)
    step = (last - first) / (MOST_DAYS - 1)
    chosen = [first + step * index for index in range(MOST_DAYS)] if step else [first]
    days = dict.fromkeys(_day(time) for time in chosen)
    labels = [(next(time for time in chosen if _day(time) == day), day[5:]) for day in days]
    return _Axis("time", across, labels, lambda time: _utc(time)[:16])


def _utc(time: float) -> str:
    return datetime.fromtimestamp(time, timezone.utc).isoformat(" ")


def _day(time: float) -> str:
    return _utc(time)[:10]


def _between(low: float, high: float) -> Callable[[float], float]:
    """Return the function from a value between the two to x."""
    room = WIDTH - LEFT - RIGHT - 24
    if low == high:
        return lambda _: LEFT + 12 + room / 2
    return lambda value: LEFT + 12 + room * (value - low) / (high - low)


def _fitted(values: Sequence[float]) -> Up:
    """Return a vertical axis from a round number below the smallest value to one above the largest."""
    step = _nice_step((max(values) - min(values)) or max(values) / 10)
    low, high = math.floor(min(values) / step), math.ceil(max(values) / step)
    high += low == high
    floor, room = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    ticks = [step * index for index in range(low, high + 1)]
    return lambda value: floor - room * (value - ticks[0]) / (ticks[-1] - ticks[0]), ticks


def _up(values: Sequence[float]) -> Up:
    """Return a vertical axis from zero, logarithmic where values are far apart."""
    floor, room = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    if _is_logarithmic(values):
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        decades = [10.0**exponent for exponent in range(low, high + 1, 1 + (high - low) // MOST_TICKS)]
        return lambda value: floor - room * (math.log10(value) - low) / (high - low), decades
    step = _nice_step(max(values))
    top = step * math.ceil(max(values) / step)
    return lambda value: floor - room * value / top, [step * index for index in range(round(top / step) + 1)]


def _is_logarithmic(values: Sequence[float]) -> bool:
    return max(values) / min(values) >= LOGARITHMIC_FROM


def _nice_step(largest: float) -> float:
    """Return 1, 2 or 5 times a power of ten, so that the largest value takes 4 to 10 steps."""
    rough = largest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= rough)


def _spread(batches: Sequence[float], across: Callable[[float], float]) -> list[float]:
    """Return the batch sizes whose labels do not overlap the label before."""
    kept: list[float] = []
    for batch in batches:
        if not kept or across(batch) - across(kept[-1]) >= 26:
            kept.append(batch)
    return kept


def _tick(y: float, value: float) -> str:
    return (
        f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="axis" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>'
    )


def _short(value: float) -> str:
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{suffix}"
    return f"{value:.4g}"


def _polyline(line: Line, axis: _Axis, height_of: Callable[[float], float], unit: str) -> str:
    path = " ".join(f"{axis.across(place):.1f},{height_of(value):.1f}" for place, value in line.points)
    dots = [_dot(line, point, axis, height_of, unit) for point in line.points]
    hollow = [_dot(line, point, axis, height_of, unit, is_valid=False) for point in line.apart]
    joined = f'<polyline points="{path}"/>' if path else ""
    return f'<g class="c{line.colour} {line.style}">{joined}{"".join([*dots, *hollow])}</g>'


def _dot(
    line: Line, point: Point, axis: _Axis, height_of: Callable[[float], float], unit: str, is_valid: bool = True
) -> str:
    place, value = point
    kind, doubt = ("", "") if is_valid else (' class="hollow"', ", not valid")
    told = escaped(f"{line.name}, {axis.in_words(place)}: {value:.6g} {unit}".rstrip() + doubt)
    x, y = axis.across(place), height_of(value)
    return f'<circle{kind} cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{told}</title></circle>'


def _legend(line: Line) -> str:
    kind = f"c{line.colour} {line.style}"
    return (
        f'<li><svg class="key" viewBox="0 0 28 8" aria-hidden="true"><g class="{kind}">'
        f'<polyline points="0,4 28,4"/></g></svg>{escaped(line.name)}</li>'
    )

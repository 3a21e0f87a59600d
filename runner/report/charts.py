"""Draw line charts over batch sizes as inline SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 50, 8, 14, 38
LOGARITHMIC_FROM = 20.0
"""Ratio of largest to smallest value from which the vertical axis is logarithmic."""
COLOURS = 8
"""Classes c0 to c7 of the page's style sheet."""

Style = Literal["solid", "dashed", "dotted"]


@dataclass(frozen=True)
class Line:
    """Named points (batch size, value); `colour` is its CSS class; published lines are dashed, p99 lines dotted."""

    name: str
    points: tuple[tuple[int, float], ...]
    colour: int
    style: Style = "solid"


def chart(title: str, unit: str, lines: Sequence[Line]) -> str:
    """Return a figure with its legend as HTML; empty if no line has a point above zero."""
    drawn = [line for line in (_drawable(line) for line in lines) if line.points]
    if not drawn:
        return ""
    values = [value for line in drawn for _, value in line.points]
    batches = sorted({batch for line in drawn for batch, _ in line.points})
    across = _across(batches)
    up, ticks = _up(values)
    label = escape(f"{title} in {unit} by batch size", quote=True)
    elements = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">']
    elements += [_tick(up(value), value) for value in ticks]
    elements += [
        f'<text class="axis" x="{across(batch):.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{batch}</text>'
        for batch in _spread(batches, across)
    ]
    elements.append(f'<text class="axis" x="{WIDTH - RIGHT}" y="{HEIGHT - 3}" text-anchor="end">batch size</text>')
    elements += [_polyline(line, across, up, unit) for line in drawn]
    elements.append("</svg>")
    scale = ", logarithmic" if _is_logarithmic(values) else ""
    legend = "".join(_legend(line) for line in drawn)
    return (
        f"<figure><figcaption>{escape(title)} ({escape(unit)}{scale})</figcaption>{''.join(elements)}"
        f'<ul class="legend">{legend}</ul></figure>'
    )


def _drawable(line: Line) -> Line:
    points = tuple(sorted((batch, value) for batch, value in line.points if math.isfinite(value) and value > 0))
    return Line(line.name, tuple(point for point in points if point[0] > 0), line.colour % COLOURS, line.style)


def _across(batches: Sequence[int]) -> Callable[[int], float]:
    """Return the function from batch size to x, on a logarithmic scale."""
    low, high = math.log2(batches[0]), math.log2(batches[-1])
    room = WIDTH - LEFT - RIGHT - 24
    if low == high:
        return lambda _: LEFT + 12 + room / 2
    return lambda batch: LEFT + 12 + room * (math.log2(batch) - low) / (high - low)


def _up(values: Sequence[float]) -> tuple[Callable[[float], float], list[float]]:
    """Return the function from value to y, and the values of the ticks."""
    floor, room = HEIGHT - BOTTOM, HEIGHT - BOTTOM - TOP
    if _is_logarithmic(values):
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        decades = [10.0**exponent for exponent in range(low, high + 1)]
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


def _spread(batches: Sequence[int], across: Callable[[int], float]) -> list[int]:
    """Return the batch sizes whose labels do not overlap the label before."""
    kept: list[int] = []
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
    return f"{value:g}"


def _polyline(line: Line, across: Callable[[int], float], up: Callable[[float], float], unit: str) -> str:
    points = [(across(batch), up(value)) for batch, value in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    kind = f"c{line.colour} {line.style}"
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3">'
        f"<title>{escape(line.name)}, batch {batch}: {value:.6g} {escape(unit)}</title></circle>"
        for (x, y), (batch, value) in zip(points, line.points, strict=True)
    )
    return f'<g class="{kind}"><polyline points="{path}"/>{dots}</g>'


def _legend(line: Line) -> str:
    kind = f"c{line.colour} {line.style}"
    return (
        f'<li><svg class="key" viewBox="0 0 28 8" aria-hidden="true"><g class="{kind}">'
        f'<polyline points="0,4 28,4"/></g></svg>{escape(line.name)}</li>'
    )

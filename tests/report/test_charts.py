"""Charts of figures of any size."""

import math
import re

import pytest

from runner.report.charts import DRAWN_FROM, DRAWN_TO, Line, chart, over_time

DAY = 86400.0


def heights(drawn: str) -> list[float]:
    return [float(text) for text in re.findall(r'<circle[^>]* cy="([^"]+)"', drawn)]


@pytest.mark.parametrize("value", [DRAWN_FROM, 1e-9, 1.0, 1e15, DRAWN_TO])
def test_any_figure_that_a_measurement_can_have_is_drawn_inside(value) -> None:
    lines = [Line("a", ((1, value), (4, math.nextafter(value, 0)), (8, 1.0)), 0)]
    for drawn in (chart("throughput", "samples/s", lines), over_time("throughput", "samples/s", lines)):
        assert len(heights(drawn)) >= 2
        assert all(0 <= height <= 250 for height in heights(drawn))


@pytest.mark.parametrize("value", [5e-324, 1.7e308, math.inf, math.nan, 0.0, -1.0])
def test_a_figure_that_no_axis_can_hold_is_left_out(value) -> None:
    drawn = chart("throughput", "samples/s", [Line("a", ((1, value), (4, 2.0)), 0)])
    assert len(heights(drawn)) == 1


def test_figures_that_differ_in_the_last_bit_are_drawn() -> None:
    points = tuple((DAY * day, value) for day, value in enumerate([1e15, math.nextafter(1e15, 2e15)], 1))
    assert len(heights(over_time("top1", "%", [Line("a", points, 0)]))) == 2


def test_a_logarithmic_axis_of_many_decades_has_few_ticks() -> None:
    drawn = chart("throughput", "", [Line("a", ((1, DRAWN_FROM), (2, DRAWN_TO)), 0)])
    assert drawn.count('class="rule"') <= 13

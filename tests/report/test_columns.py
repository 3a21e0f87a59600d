import math

import pytest

from runner.report import columns


@pytest.mark.parametrize(
    ("above", "below"),
    [(1.0, 0.0), (1.0, None), (None, 1.0), (math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0), (1.0, math.inf),
     (1e300, 1e-300), (1.0, -2.0)],
)  # fmt: skip
def test_a_ratio_that_is_no_number_is_blank(above: float | None, below: float | None) -> None:
    assert columns.ratio(above, below) is None


def test_zero_is_a_value_above_the_line() -> None:
    assert columns.ratio(0.0, 5.0) == 0.0

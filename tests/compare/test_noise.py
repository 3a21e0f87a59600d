import json
import math
import os
import random
import statistics

import pytest

from runner.compare import noise
from runner.core import DataError


def test_the_settled_latencies_are_read(tmp_path) -> None:
    (tmp_path / "latencies_ms.json").write_text(
        json.dumps({"batch": 1, "source": "x", "settled_after": 2, "latencies_ms": [9.0, 8.0, 2.0, 2.5]})
    )
    assert noise.latencies_ms(tmp_path) == (2.0, 2.5)


def test_a_run_without_raw_latencies_has_none(tmp_path) -> None:
    assert noise.latencies_ms(tmp_path) == ()
    assert noise.standard_errors_ms(()) == {}
    assert noise.standard_errors_ms((1.0,)) == {}


@pytest.mark.parametrize(
    "text",
    [
        '{"latencies_ms": [1.0',
        "[" * 100_000,
        '{"latencies_ms": [1e308, 1e308]}',
        '{"latencies_ms": [-1.0]}',
        '{"latencies_ms": [1.0], "settled_after": -1}',
    ],
)
def test_spoilt_latencies_are_an_error_that_names_the_file(text: str, tmp_path) -> None:
    (tmp_path / "latencies_ms.json").write_text(text)
    with pytest.raises(DataError, match=r"latencies_ms\.json cannot be read"):
        noise.latencies_ms(tmp_path)


def test_a_pipe_in_the_place_of_latencies_is_an_error_that_names_it(tmp_path) -> None:
    os.mkfifo(tmp_path / "latencies_ms.json")
    with pytest.raises(DataError, match=r"latencies_ms\.json cannot be read: it is not a regular file"):
        noise.latencies_ms(tmp_path)


def test_the_error_of_independent_latencies_is_that_of_their_mean() -> None:
    drawn = random.Random(0)
    latencies_ms = [drawn.gauss(10.0, 1.0) for _ in range(4000)]
    error_ms = noise.standard_errors_ms(latencies_ms)["mean"]
    assert error_ms == pytest.approx(statistics.stdev(latencies_ms) / math.sqrt(4000), rel=0.3)


def test_a_disturbance_of_many_calls_counts_as_one() -> None:
    # half of the calls are slow: alternately, this says nothing of the mean; one after the other, it was disturbed once
    alternating, disturbed = [1.0, 2.0] * 500, [1.0] * 500 + [2.0] * 500
    assert noise.standard_errors_ms(alternating)["mean"] == 0.0
    assert noise.standard_errors_ms(disturbed)["mean"] == pytest.approx(0.513 / math.sqrt(20), rel=0.01)


def test_the_error_covers_the_difference_of_two_halves_of_a_noisy_run() -> None:
    drawn = random.Random(1)
    covered = 0
    for _ in range(100):
        runs = [[drawn.expovariate(1.0) + 1.0 for _ in range(600)] for _ in range(2)]
        for name, value in (("mean", statistics.fmean), ("p50", statistics.median)):
            errors = [noise.standard_errors_ms(run)[name] for run in runs]
            first, second = map(value, runs)
            covered += abs(first - second) <= 2 * math.hypot(*errors)
    assert 180 <= covered <= 200


def test_windows_of_few_latencies_hold_one_each() -> None:
    assert noise.standard_errors_ms((1.0, 3.0)) == {"mean": 1.0, "p50": 1.0, "p99": 1.0}

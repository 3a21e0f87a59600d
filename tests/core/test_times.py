from datetime import datetime, timedelta, timezone

import pytest

from runner.core import Timing, now, seconds_since_epoch


def test_the_current_time_is_in_utc() -> None:
    assert abs(datetime.fromisoformat(now()) - datetime.now(timezone.utc)) < timedelta(minutes=1)


@pytest.mark.parametrize("time", ["1970-01-02T00:00:00+00:00", "9999-01-01T00:00:00+00:00", "yesterday", ""])
def test_what_is_no_time_of_a_usual_year_is_refused(time) -> None:
    with pytest.raises(ValueError, match=r"time|isoformat"):
        seconds_since_epoch(time)


def test_a_measurement_whose_time_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="isoformat"):
        Timing(batch=1, latencies_ms=(1.0,), warmup=0, source="a tool", measured_at="torch.nn.Linear")

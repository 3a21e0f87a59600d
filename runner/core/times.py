"""Times as texts, ISO 8601."""

from __future__ import annotations

from datetime import datetime, timezone

_YEARS = (1971, 9998)


def now() -> str:
    """Return the current time in UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def seconds_since_epoch(time: str) -> float:
    """Return a time in seconds since the epoch; one without a time zone is local.

    Raises:
        ValueError: it is no time of the years 1971 to 9998, which every clock and time zone can hold.
    """
    moment = datetime.fromisoformat(time)
    if not _YEARS[0] <= moment.year <= _YEARS[1]:
        raise ValueError(f"the time {time!r} is not in the years {_YEARS[0]} to {_YEARS[1]}")
    return moment.timestamp()

"""Measuring: the loop, locks of devices, detection of disturbances, and statistics of raw latencies."""

from runner.measure.device_lock import using_devices
from runner.measure.loop import (
    Measured,
    MeasuringLimits,
    first_calls,
    in_windows,
    long_enough,
    planned_calls,
    repeat,
    too_short,
)
from runner.measure.machine import peak_rss_bytes
from runner.measure.summary import distribution, mean_ms, samples_per_second, settled_ms

"""Measuring: the loop, detection of disturbances on this machine, and statistics of raw latencies."""

from runner.measure.loop import Measured, MeasuringLimits, exclusive, in_windows, long_enough, loops, repeat, too_short
from runner.measure.machine import peak_rss_bytes
from runner.measure.summary import distribution, mean_ms, samples_per_second, settled_ms

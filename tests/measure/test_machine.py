import sys
import threading

import pytest

from runner.measure import machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_every_thread_of_this_process_tells_what_it_waited() -> None:
    assert machine.waited_seconds()[threading.get_native_id()] >= 0.0


def test_the_peak_memory_is_at_least_what_an_array_takes() -> None:
    block = bytearray(64 << 20)
    block[:: 4 << 10] = b"\1" * len(block[:: 4 << 10])
    peak = machine.peak_rss_bytes()
    assert peak is not None
    assert peak >= len(block)


def test_a_frequency_is_told_only_where_the_kernel_tells_it() -> None:
    frequency = machine.frequency_ghz()
    assert frequency is None or frequency > 0

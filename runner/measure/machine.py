"""Probes for disturbances of a measurement on Linux: waiting for a CPU, and CPU frequency; and peak memory."""

from __future__ import annotations

from pathlib import Path


def waited_seconds() -> dict[int, float]:
    """Return for each thread of this process how long it was runnable while something else used the CPU.

    The second field of /proc/self/task/N/schedstat (Documentation/scheduler/sched-stats.rst); empty without it.
    """
    waited = {}
    for task in Path("/proc/self/task").glob("[0-9]*"):
        try:
            waited[int(task.name)] = int((task / "schedstat").read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):  # the thread ended meanwhile, or this kernel does not record it
            continue
    return waited


def frequency_ghz() -> float | None:
    """Return the mean of the cores' current frequencies; None if they cannot be read, as in most virtual machines."""
    frequencies_ghz = []
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"):
        try:
            frequencies_ghz.append(int(path.read_text()) / 1e6)
        except (OSError, ValueError):
            continue
    return sum(frequencies_ghz) / len(frequencies_ghz) if frequencies_ghz else None


def peak_rss_bytes() -> int | None:
    """Return the peak resident memory of this process so far; None if /proc does not report it.

    Uses VmHWM, since ru_maxrss of getrusage is inherited from the parent process.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)

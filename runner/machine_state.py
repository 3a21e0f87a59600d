"""What disturbs a measurement on this machine, as far as Linux tells: waiting for a CPU, and its frequency."""

from __future__ import annotations

from pathlib import Path


def waited_seconds() -> dict[int, float]:
    """For each thread of this process, how long it was ready to run while something else had the CPU.

    The second field of /proc/self/task/N/schedstat (Documentation/scheduler/sched-stats.rst); empty without it.
    """
    waited = {}
    for task in Path("/proc/self/task").glob("[0-9]*"):
        try:
            waited[int(task.name)] = int((task / "schedstat").read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):  # the thread ended meanwhile, or this kernel keeps no such figures
            continue
    return waited


def frequency_ghz() -> float | None:
    """The mean of the cores' present frequencies, None where they cannot be read (as in most virtual machines)."""
    found = []
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"):
        try:
            found.append(int(path.read_text()) / 1e6)
        except (OSError, ValueError):
            continue
    return sum(found) / len(found) if found else None


def peak_rss_bytes() -> int | None:
    """The largest resident memory of this process so far, None where /proc does not tell.

    VmHWM and not getrusage: the latter's ru_maxrss starts with that of the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)

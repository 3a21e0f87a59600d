"""Jobs on all cores: in spawned processes, and in this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from runner.core import DataError, core_count

JOBS_IN_FLIGHT_PER_WORKER = 2

T = TypeVar("T")


def run_jobs(jobs: Mapping[int, Callable[[], T]]) -> Generator[tuple[int, T], None, None]:
    """Run all jobs on all cores, including this process; yield (index, result) as they finish.

    Working in this process too saves a worker and its memory, and makes progress while the workers start. Workers are
    spawned, not forked, since this process may have torch's threads; jobs are pickled.

    Raises:
        DataError: a worker was killed.
    """
    workers = min(core_count(), len(jobs)) - 1
    if workers < 1:
        for index, job in jobs.items():
            yield index, job()
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_serve_parent)
    waiting = iter(jobs.items())
    pending: dict[Future[T], int] = {}
    try:
        while True:
            for index, job in islice(waiting, workers * JOBS_IN_FLIGHT_PER_WORKER - len(pending)):
                pending[pool.submit(job)] = index
            for index, job in islice(waiting, 1):
                yield index, job()
            if not pending:
                return
            done = [future for future in pending if future.done()]
            for future in done or wait(pending, return_when=FIRST_COMPLETED).done:
                yield pending.pop(future), future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process that prepares pictures was killed, perhaps for want of memory",
            "run again: it goes on where it stopped; fewer cores (taskset) need less memory",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _serve_parent() -> None:
    """Ignore Ctrl-C, and exit when the parent dies: workers of a killed parent would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

"""Jobs on all cores: in spawned processes, and in this one."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from runner.core import DataError, core_count

JOBS_IN_FLIGHT_PER_WORKER = 2
_ON_ONE_CORE = "correct that, or run on one core (taskset -c 0), where no other process is started"

T = TypeVar("T")


def run_jobs(jobs: Mapping[int, Callable[[], T]]) -> Generator[tuple[int, T], None, None]:
    """Run all jobs on all cores, including this process; yield (index, result) as they finish.

    Working in this process too saves a worker and its memory, and makes progress while the workers start. Workers are
    spawned, not forked, since this process may have torch's threads; jobs are pickled.

    Raises:
        DataError: a worker was killed, or cannot start.
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
    started: set[BaseProcess] = set()
    try:
        while True:
            for index, job in islice(waiting, workers * JOBS_IN_FLIGHT_PER_WORKER - len(pending)):
                pending[pool.submit(_run, pickle.dumps(job))] = index
            started.update(multiprocessing.active_children())
            for index, job in islice(waiting, 1):
                yield index, job()
            if not pending:
                return
            done = [future for future in pending if future.done()]
            for future in done or wait(pending, return_when=FIRST_COMPLETED).done:
                yield pending.pop(future), future.result()
    except BrokenProcessPool as error:
        pool.shutdown()  # before that, an exit code may not be known
        raise _ended_early(started) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run(pickled_job: bytes) -> Any:
    """Load a job, here rather than in the pool, which would not tell why that failed, and return what it does."""
    try:
        job = pickle.loads(pickled_job)
    except Exception as error:  # what it imports may raise anything
        raise DataError(
            f"a process that prepares pictures cannot start: {type(error).__name__}: {error}", _ON_ONE_CORE
        ) from error
    return job()


def _ended_early(processes: Iterable[BaseProcess]) -> DataError:
    """Return the error of a pool of which a process has ended; the pool ends the others by a signal."""
    code = max((process.exitcode or 0 for process in processes), default=0)
    if code > 0:  # a negative one is that of a signal
        return DataError(
            f"a process that prepares pictures ended with exit code {code}; what it printed stands above", _ON_ONE_CORE
        )
    return DataError(
        "a process that prepares pictures was killed, perhaps for want of memory",
        "run again: it goes on where it stopped; fewer cores (taskset) need less memory",
    )


def _serve_parent() -> None:
    """Ignore Ctrl-C, and exit when the parent dies: workers of a killed parent would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

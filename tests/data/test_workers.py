"""Jobs in other processes: what is said of a process that ends before its work is done."""

import importlib
import os
import signal
from functools import partial

import pytest

from runner.core import DataError
from runner.data import _workers


class Unloadable:
    """A job that works here, and whose copy in another process imports a module that is not there."""

    def __call__(self) -> int:
        return 1

    def __reduce__(self):
        return importlib.import_module, ("no_such_module",)


class Ends(Unloadable):
    """A job whose copy in another process ends that, by an exit code or by a signal."""

    def __init__(self, end, *arguments) -> None:
        self.end = end, arguments

    def __reduce__(self):
        return self.end


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(_workers, "core_count", lambda: 2)
    return lambda *jobs: dict(_workers.run_jobs(dict(enumerate(jobs))))


def test_jobs_return_by_index(run) -> None:
    assert run(*(partial(abs, -number) for number in range(5))) == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (Unloadable(), "cannot start: ModuleNotFoundError: No module named 'no_such_module'"),
        (Ends(os._exit, 3), "ended with exit code 3; what it printed stands above"),
        (Ends(kill_itself), "was killed, perhaps for want of memory"),
    ],
)
def test_a_process_that_ends_early_is_told_by_its_reason(job, told, run) -> None:
    with pytest.raises(DataError, match=told):
        run(*[job] * 8)

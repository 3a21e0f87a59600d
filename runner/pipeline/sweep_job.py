"""One job as its sweep knows it: its name, its overrides, the lines it prints, and how it ended."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins import basic_launcher
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from runner import results

BASIC_LAUNCHER = f"{basic_launcher.__name__}.BasicLauncher"
"""Hydra's launcher that runs one job after another."""


@dataclass(frozen=True)
class JobEnd:
    """What a job returns to its sweep from whichever host it ran on: its exit code, and the content of result.json."""

    name: str
    code: int
    host: str
    folder: str
    content: bytes | None

    def __float__(self) -> float:
        """Return the exit code: Hydra's sweepers that search for a minimum take nothing but numbers."""
        return float(self.code)


def as_typed(override: str) -> str:
    """Return an override without the quotes that runner.config.overrides put around its value: batch='4' -> batch=4."""
    return re.sub(r"^([^=]+)='([^']*)'$", r"\1=\2", override)


def typed_overrides() -> tuple[str, ...]:
    """Return the overrides of the running job as typed; empty in a process that Hydra does not run."""
    return tuple(map(as_typed, HydraConfig.get().overrides.task)) if HydraConfig.initialized() else ()


@contextmanager
def told_apart() -> Iterator[None]:
    """Say which job of a sweep begins; begin every line with the job's name if others run beside it."""
    hydra: Any = HydraConfig.get()
    name = _name(hydra)
    if not name:
        yield
        return
    from runner.pipeline import display

    account = hydra.callbacks.sweep
    values = [as_typed(each) for each in hydra.overrides.task if each.partition("=")[0] in account.varied]
    if hydra.launcher._target_ != BASIC_LAUNCHER:
        label = f"[{' '.join([name, *values])}] "
        with redirect_stdout(display.Labelled(sys.stdout, label)), redirect_stderr(display.Labelled(sys.stderr, label)):
            yield
        return
    of_all = f" ({hydra.job.num + 1} of {account.jobs})" if account.jobs else ""
    display.news(f"job {name}{': ' if values else ''}{' '.join(values)}{of_all}")
    yield


def end_of(code: int, folder: Path) -> JobEnd:
    """Return how the running job ended, given its exit code and its folder."""
    path = folder / results.NAME
    content = path.read_bytes() if path.is_file() else None
    return JobEnd(_name(HydraConfig.get()), code, platform.node(), str(folder), content)


def _name(hydra: Any) -> str:
    """Return the name of the running job's folder below its sweep's; empty for a run that is no job of a sweep."""
    return "" if OmegaConf.is_missing(hydra.job, "num") else str(hydra.sweep.subdir)

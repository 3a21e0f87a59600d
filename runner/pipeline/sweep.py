"""Hydra callback that claims the run folder and collects the exit codes of jobs; the sweep's is their maximum."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from runner import results
from runner.pipeline import run_folder

_codes: list[int] = []
_sweeps: list[tuple[Path, float]] = []


def record(code: int) -> None:
    """Record a job's exit code."""
    _codes.append(code)


def forget() -> None:
    """Clear all recorded exit codes and sweeps."""
    _codes.clear()
    _sweeps.clear()


def worst_code() -> int:
    """Return the largest recorded exit code; 0 if no job ran, as with --cfg."""
    return max(_codes, default=0)


class Sweep(Callback):
    """A callback that reads a sweep's results from files, as a launcher may run jobs in other processes."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claim the run folder."""
        _claim_folder(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claim the sweep folder; record it and the start time, to tell this sweep's results from older ones."""
        _claim_folder(config, "sweep")
        _sweeps[:] = [(Path(config.hydra.sweep.dir).absolute(), time.time())]

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the results of all jobs."""
        finish_sweep()


def _claim_folder(config: DictConfig, kind: str) -> None:
    """Create the folder that is named by the time, with a number appended if a run of the same microsecond has it.

    A folder that is given on the command line is left unchanged.
    """
    option = f"hydra.{kind}.dir"
    overrides = OmegaConf.to_container(config.hydra.overrides.hydra, resolve=False)
    assert isinstance(overrides, list)
    if any(str(override).lstrip("+").startswith(f"{option}=") for override in overrides):
        return
    try:
        folder = Path(config.hydra[kind].dir)
        claimed = run_folder.claim(folder)
    except (OSError, OmegaConfBaseException):
        return  # Hydra will fail on it too, and its error is reported
    if claimed != folder:
        with read_write(config.hydra):
            config.hydra[kind].dir = str(claimed)
            # a sweep's jobs compose their configurations again from the overrides
            config.hydra.overrides.hydra.append(f"{option}='{claimed}'")


def finish_sweep() -> None:
    """Record the exit codes of the sweep's jobs and print their table, even if the sweep was interrupted."""
    for folder, started_at in _sweeps:
        files = sorted(folder.glob(f"*/{results.NAME}"))
        paths = [path for path in files if path.stat().st_mtime >= started_at - 1.0]
        for each in results.find(paths).results:
            record(each.exit_code)
        if paths:
            from runner.pipeline import display

            display.sweep(paths)
    _sweeps.clear()

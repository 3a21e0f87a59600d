"""The exit code of a run or a sweep: the largest of its jobs', wherever they ran."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

_codes: list[int] = []
_sweeps: list[tuple[Path, float]] = []


def record(code: int) -> None:
    """Remember a job's exit code."""
    _codes.append(code)


def forget() -> None:
    """Start anew."""
    _codes.clear()
    _sweeps.clear()


def worst_code() -> int:
    """The largest exit code on record; 0 when no job ran, as with --cfg."""
    return max(_codes, default=0)


def exit_code(result: dict[str, Any]) -> int:
    """0 all done and no gate failed; 1 an error; 2 a gate failed."""
    if result.get("status") != "ok":
        return 1
    return 2 if any(gate["verdict"] == "fail" for gate in result["gates"]) else 0


class Sweep(Callback):
    """Reads the results of a sweep's jobs, because a launcher may run them in other processes."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remember where the jobs' folders are, and since when what lies there is this sweep's."""
        _sweeps[:] = [(Path(config.hydra.sweep.dir).absolute(), time.time())]

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Tell what came of all jobs."""
        finish_sweep()


def finish_sweep() -> None:
    """Record the exit codes of the sweep's jobs and print their table; also of one that was interrupted."""
    for folder, started_at in _sweeps:
        paths = [path for path in sorted(folder.glob("*/result.json")) if path.stat().st_mtime >= started_at - 1.0]
        for path in paths:
            record(exit_code(json.loads(path.read_text())))
        if paths:
            from runner import display

            display.sweep(paths)
    _sweeps.clear()

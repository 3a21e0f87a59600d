"""The exit code of a run or a sweep: the largest of its jobs', wherever they ran."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from runner import run_folder

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

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Take a folder of its own."""
        _claim_folder(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Take a folder of its own; remember it, and since when what lies there is this sweep's."""
        _claim_folder(config, "sweep")
        _sweeps[:] = [(Path(config.hydra.sweep.dir).absolute(), time.time())]

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Tell what came of all jobs."""
        finish_sweep()


def _claim_folder(config: DictConfig, kind: str) -> None:
    """Make the folder that is named by the time; where a run of the same microsecond has it, choose the next name.

    One that the command line names is taken as it is.
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
        return  # Hydra will fail on it too, and be told of
    if claimed != folder:
        with read_write(config.hydra):
            config.hydra[kind].dir = str(claimed)
            # the configurations of a sweep's jobs are composed anew, from the command line
            config.hydra.overrides.hydra.append(f"{option}='{claimed}'")


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

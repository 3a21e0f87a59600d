"""The Hydra application: compose a configuration from argv and run it as a job or a sweep of jobs."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from runner.cli import FULL_ERROR
from runner.config import compose, options, overrides, refusals
from runner.config.groups import CONF
from runner.core import cause_of, os_errors, signals, visible
from runner.pipeline import sweep, sweep_job


def run_job(config: DictConfig) -> sweep_job.JobEnd:
    """Run one job of a run or a sweep, called by Hydra; return how it ended, for the sweep."""
    from runner.pipeline import job

    if not gc.isenabled():  # see runner.__main__; a launcher's process never turned it off
        gc.freeze()
        gc.enable()
    runtime = HydraConfig.get().runtime
    options.make_allowed_importable(config, sweep.config_dirs(runtime))
    folder = Path(runtime.output_dir)
    keeps_refused = HydraConfig.get().mode == RunMode.MULTIRUN or _is_folder_typed()
    with signals.ending_the_run(), sweep_job.told_apart():  # also in a launcher's process
        code = job.run_job(config, folder, keeps_refused)
    sweep.record(code)
    return sweep_job.end_of(code, folder)


def main() -> int:
    """Compose the configuration, run it, and return the exit code: 0 done, 1 an error, 2 a gate failed."""
    logging.raiseExceptions = False  # Hydra prints --info through logging, maybe to a pipe that is closed by then
    try:
        sys.argv[1:] = overrides.adapt(sys.argv[1:], _detect_chips)
        compose.register(sys.argv[1:])
        with signals.ending_the_run(), sweep.accounted(), _errors_raised(), _mode_as_typed():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(run_job)()
    except KeyboardInterrupt as error:
        ended = signals.description(error)
        print(f"{ended}; run the same command again to go on from the last finished stage", file=sys.stderr)
        return 1
    except BrokenPipeError:  # of what --cfg and --info print, as before `| head`: the caller closes the output
        raise
    except Exception as error:  # run_job prints its own; this one is Hydra's, a launcher's or the terminal's
        if os.environ.get(FULL_ERROR):
            raise
        print(visible(f"error: {_description(error)}"), file=sys.stderr)
        return 1
    return sweep.worst_code()


@contextmanager
def _errors_raised() -> Iterator[None]:
    """Make Hydra raise errors that it would print with a traceback."""
    before = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[FULL_ERROR]
        else:
            os.environ[FULL_ERROR] = before


@contextmanager
def _mode_as_typed() -> Iterator[None]:
    """Stop Hydra from composing a second time to read hydra.mode unless something typed can set it."""
    composed = Hydra.get_mode

    def get_mode(self: Hydra, config_name: str | None, overrides: list[str]) -> Any:
        typed = any(override.lstrip("+").startswith(("hydra.mode=", "experiment=")) for override in overrides)
        return composed(self, config_name, overrides) if typed else None

    Hydra.get_mode = get_mode  # type: ignore[method-assign]
    try:
        yield
    finally:
        Hydra.get_mode = composed  # type: ignore[method-assign]


def _is_folder_typed() -> bool:
    """Return whether the user named the folder of the run, and so looks for its result there."""
    typed = HydraConfig.get().overrides.hydra
    return any(override.lstrip("+").startswith("hydra.run.dir=") for override in typed)


def _description(error: Exception) -> str:
    refused = os_errors.of_a_path(error)
    if refused is not None and cause_of(error) is None:  # Hydra writes files before run_job begins
        return str(os_errors.as_store_error(refused, _run_folder(sys.argv[1:]), os_errors.RUN_DIR))
    known = refusals.of_hydra(error, sys.argv[1:])
    if known is not None:
        return str(known)
    return f"{error}\n({type(error).__name__}; set {FULL_ERROR}=1 for the traceback)".lstrip()


def _run_folder(arguments: list[str]) -> Path:
    options = ("hydra.run.dir=", "hydra.sweep.dir=")
    typed = (word.partition("=")[2].strip("'") for word in arguments if word.startswith(options))
    return Path(next(typed, "outputs"))


def _detect_chips() -> list[str]:
    from runner.tools.ascend import npu_smi

    return npu_smi.options()

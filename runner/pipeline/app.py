"""The Hydra application: compose a configuration from argv and run it as a job or a sweep of jobs."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from runner.config import options, overrides, schema, sources
from runner.config.groups import CONF
from runner.core import ConfigError, RunnerError, cause_of, os_errors, signals
from runner.pipeline import sweep

FULL_ERROR = "HYDRA_FULL_ERROR"


def run_job(config: DictConfig) -> int:
    """Run one job of a run or a sweep, called by Hydra; return the exit code."""
    from runner.pipeline import job

    if not gc.isenabled():  # see runner.__main__; a launcher's process never turned it off
        gc.freeze()
        gc.enable()
    runtime = HydraConfig.get().runtime
    for source in runtime.config_sources:
        # --config-dir is known here in any process that a launcher uses. Without `allow` nothing of it is importable:
        # libraries probe for many packages that are not installed, and could import one from an untrusted folder.
        if source.provider == "command-line" and config.get("allow"):
            options.make_importable(Path(source.path))
    with signals.ending_the_run():  # also in a launcher's process
        code = job.run_job(config, Path(runtime.output_dir))
    sweep.record(code)
    return code


def main() -> int:
    """Compose the configuration, run it, and return the exit code: 0 done, 1 an error, 2 a gate failed."""
    sweep.forget()
    try:
        _refuse_pickles(sys.argv[1:])
        sys.argv[1:] = overrides.adapt(sys.argv[1:], _detect_chips)
        overrides.register_batches(sys.argv[1:])
        schema.register()
        sources.register()
        with _errors_raised(), _mode_as_typed(), signals.ending_the_run():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(run_job)()
    except KeyboardInterrupt as error:
        sweep.finish_sweep()
        ended = signals.description(error)
        print(f"{ended}; run the same command again to go on from the last finished stage", file=sys.stderr)
        return 1
    except Exception as error:  # run_job prints its own; this one is Hydra's, a launcher's or the terminal's
        if os.environ.get(FULL_ERROR):
            raise
        print(_description(error), file=sys.stderr)
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
    """Stop Hydra from composing a second time to read hydra.mode, which only the command line can set."""
    composed = Hydra.get_mode

    def get_mode(self: Hydra, config_name: str | None, overrides: list[str]) -> Any:
        typed = any(override.lstrip("+").startswith("hydra.mode=") for override in overrides)
        return composed(self, config_name, overrides) if typed else None

    Hydra.get_mode = get_mode  # type: ignore[method-assign]
    try:
        yield
    finally:
        Hydra.get_mode = composed  # type: ignore[method-assign]


def _refuse_pickles(arguments: list[str]) -> None:
    if any(argument.startswith("--e") for argument in arguments):  # argparse accepts abbreviations
        raise ConfigError(
            "--experimental-rerun loads a pickle, which may hold code",
            "give the overrides again that .hydra/overrides.yaml in the run folder lists",
        )


def _description(error: Exception) -> str:
    unknown = options.missing(error) if isinstance(error, MissingConfigException) else None
    if unknown:
        return str(unknown)
    known = cause_of(error)
    if known is not None:
        return str(known)
    refused = os_errors.of_a_path(error)
    if refused is not None:  # Hydra writes files before run_job begins
        return str(os_errors.as_store_error(refused, _run_folder(sys.argv[1:]), os_errors.RUN_DIR))
    lines = [str(error) or type(error).__name__]
    if isinstance(error, OverrideParseException) and error.override not in lines[0]:
        lines.insert(0, f"error parsing override {error.override!r}")
    if isinstance(error.__cause__, OmegaConfBaseException):
        lines.append(str(error.__cause__))
    if not isinstance(error, (RunnerError, HydraException, OmegaConfBaseException)):
        lines.append(f"({type(error).__name__}; set {FULL_ERROR}=1 for the traceback)")
    return "\n".join(lines)


def _run_folder(arguments: list[str]) -> Path:
    options = ("hydra.run.dir=", "hydra.sweep.dir=")
    return Path(next((word.partition("=")[2] for word in arguments if word.startswith(options)), "outputs"))


def _detect_chips() -> list[str]:
    from runner.tools.ascend import cann

    return cann.detected_chips()

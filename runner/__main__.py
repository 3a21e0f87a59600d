"""argv -> Hydra -> execute."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from runner import callbacks, overrides
from runner.errors import RunnerError

FULL_ERROR = "HYDRA_FULL_ERROR"


def run_job(config: DictConfig) -> int:
    """One job of a run or a sweep, as Hydra calls it; returns the exit code."""
    from runner import execute

    code = execute.run_job(config, Path(HydraConfig.get().runtime.output_dir))
    callbacks.record(code)
    return code


def main() -> int:
    """Compose the configuration, run it, and return the exit code: 0 done, 1 an error, 2 a gate failed."""
    callbacks.forget()
    try:
        sys.argv[1:] = overrides.adapt(sys.argv[1:], _detect_chips)
        overrides.register_batches(sys.argv[1:])
        _register_schema(sys.argv[1:])
        with _errors_raised():
            hydra.main(version_base="1.3", config_path=str(overrides.CONF), config_name="config")(run_job)()
    except KeyboardInterrupt:
        callbacks.finish_sweep()
        print("interrupted; run the same command again to go on from the last finished stage", file=sys.stderr)
        return 1
    except Exception as error:  # run_job tells its own: what comes here is Hydra's, a launcher's or the terminal's
        if os.environ.get(FULL_ERROR):
            raise
        print(_told(error), file=sys.stderr)
        return 1
    return callbacks.worst_code()


@contextmanager
def _errors_raised() -> Iterator[None]:
    """Let Hydra raise what it would print with a traceback."""
    before = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[FULL_ERROR]
        else:
            os.environ[FULL_ERROR] = before


def _told(error: Exception) -> str:
    parts = [str(error) or type(error).__name__]
    if isinstance(error, OverrideParseException) and error.override not in parts[0]:
        parts.insert(0, f"error parsing override {error.override!r}")
    if isinstance(error.__cause__, OmegaConfBaseException):
        parts.append(str(error.__cause__))
    if not isinstance(error, (RunnerError, HydraException, OmegaConfBaseException)):
        parts.append(f"({type(error).__name__}; set {FULL_ERROR}=1 for the traceback)")
    return "\n".join(parts)


def _detect_chips() -> list[str]:
    from runner.compilers import cann

    return cann.detected_chips()


def _register_schema(arguments: list[str]) -> None:
    if overrides.asks_for_help(arguments):
        ConfigStore.instance().store(name="schema", node={})  # help needs no types, and Hydra copies them 75 times
        return
    from runner import schema

    schema.register()


if __name__ == "__main__":
    sys.exit(main())

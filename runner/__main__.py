"""argv -> Hydra -> job."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from runner import callbacks, config_folders, options, overrides, refusals, signals
from runner.errors import ConfigError, RunnerError, cause_of

FULL_ERROR = "HYDRA_FULL_ERROR"


def run_job(config: DictConfig) -> int:
    """One job of a run or a sweep, as Hydra calls it; returns the exit code."""
    from runner import job

    runtime = HydraConfig.get().runtime
    for source in runtime.config_sources:
        # --config-dir, known here in whatever process a launcher runs the job. Whoever allows none of its packages
        # imports none: a library looks for many that are not installed, and would find a stranger's.
        if source.provider == "command-line" and config.get("allow"):
            options.make_importable(Path(source.path))
    with signals.ending_the_run():  # in a launcher's process too
        code = job.run_job(config, Path(runtime.output_dir))
    callbacks.record(code)
    return code


def main() -> int:
    """Compose the configuration, run it, and return the exit code: 0 done, 1 an error, 2 a gate failed."""
    callbacks.forget()
    try:
        _refuse_pickles(sys.argv[1:])
        sys.argv[1:] = overrides.adapt(sys.argv[1:], _detect_chips)
        overrides.register_batches(sys.argv[1:])
        _register_schema(sys.argv[1:])
        config_folders.register()
        with _errors_raised(), signals.ending_the_run():
            hydra.main(version_base="1.3", config_path=str(overrides.CONF), config_name="config")(run_job)()
    except KeyboardInterrupt as error:
        callbacks.finish_sweep()
        told = signals.told(error)
        print(f"{told}; run the same command again to go on from the last finished stage", file=sys.stderr)
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


def _refuse_pickles(arguments: list[str]) -> None:
    if any(argument.startswith("--e") for argument in arguments):  # argparse takes the beginning for the whole
        raise ConfigError(
            "--experimental-rerun loads a pickle, which may hold code",
            "give the overrides again that .hydra/overrides.yaml in the run folder lists",
        )


def _told(error: Exception) -> str:
    unknown = options.missing(error) if isinstance(error, MissingConfigException) else None
    if unknown:
        return str(unknown)
    known = cause_of(error)
    if known is not None:
        return str(known)
    refused = refusals.of_a_place(error)
    if refused is not None:  # what Hydra writes before run_job begins
        return str(refusals.refusal(refused, _run_folder(sys.argv[1:]), refusals.RUN_DIR))
    parts = [str(error) or type(error).__name__]
    if isinstance(error, OverrideParseException) and error.override not in parts[0]:
        parts.insert(0, f"error parsing override {error.override!r}")
    if isinstance(error.__cause__, OmegaConfBaseException):
        parts.append(str(error.__cause__))
    if not isinstance(error, (RunnerError, HydraException, OmegaConfBaseException)):
        parts.append(f"({type(error).__name__}; set {FULL_ERROR}=1 for the traceback)")
    return "\n".join(parts)


def _run_folder(arguments: list[str]) -> Path:
    options = ("hydra.run.dir=", "hydra.sweep.dir=")
    return Path(next((one.partition("=")[2] for one in arguments if one.startswith(options)), "outputs"))


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

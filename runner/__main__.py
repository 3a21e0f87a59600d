"""argv -> Hydra -> execute."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from runner import callbacks, overrides


def run_job(config: DictConfig) -> int:
    """One job of a run or a sweep, as Hydra calls it; returns the exit code."""
    from runner import execute

    code = execute.run_job(config, Path(HydraConfig.get().runtime.output_dir))
    callbacks.record(code)
    return code


def main() -> int:
    """Compose the configuration, run it, and return the exit code: 0 done, 1 an error, 2 a gate failed."""
    sys.argv[1:] = overrides.adapt(sys.argv[1:])
    overrides.register_batches(sys.argv[1:])
    _register_schema(sys.argv[1:])
    traced = "HYDRA_FULL_ERROR" in os.environ
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come back here instead of being printed with a traceback
    try:
        hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")(run_job)()
    except (HydraException, OmegaConfBaseException, ValueError, OSError) as error:
        if traced:
            raise
        causes = [error, error.__cause__] if isinstance(error.__cause__, OmegaConfBaseException) else [error]
        print("\n".join(str(cause) for cause in causes), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on from the last finished stage", file=sys.stderr)
        return 1
    return callbacks.worst_code()


def _register_schema(arguments: list[str]) -> None:
    if overrides.asks_for_help(arguments):
        ConfigStore.instance().store(name="schema", node={})  # help needs no types, and Hydra copies them 75 times
        return
    from runner import schema

    schema.register()


if __name__ == "__main__":
    sys.exit(main())

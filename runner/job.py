"""One job: a composed configuration to a result.json and an exit code, whatever happens."""

from __future__ import annotations

import logging
import traceback
from contextlib import closing
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from runner import (
    callbacks,
    display,
    dry_run,
    memory,
    preflight,
    process,
    refusals,
    result,
    run_folder,
    schema,
    signals,
    slices,
    targets,
)
from runner import plan as planning
from runner.artifacts import Predictions, Timing
from runner.errors import PreflightError, RunnerError, StoreError
from runner.execute import Run
from runner.hashing import write_atomically
from runner.result import Failure
from runner.store import Store

log = logging.getLogger(__name__)


def run_job(composed: DictConfig, folder: Path) -> int:
    """Run one composed configuration; whatever happens is told and written to `folder`/result.json.

    Returns 0 all done and no gate failed; 1 an error; 2 a gate failed.
    """
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log on a full disk is no reason for tracebacks
    try:
        with refusals.told(folder, refusals.RUN_DIR):
            return _run_job(composed, folder)
    except StoreError as error:  # there is no place for a result.json
        display.failure(str(error))
        return 1


def _run_job(composed: DictConfig, folder: Path) -> int:
    try:
        config = schema.load(composed)
    except RunnerError as error:
        display.failure(str(error))
        with run_folder.held(folder):
            result.write(folder, result.refused(Failure("config", error.message, error.fix)))
        return 1
    store = Store(Path(config.cache_dir).expanduser().absolute(), config.model.name)
    if config.dry_run:
        return dry_run.show(config, store)
    with run_folder.held(folder), closing(store):
        write_atomically(folder / "config.yaml", OmegaConf.to_yaml(composed, resolve=True).encode())
        return _carry_out(Run(config, store, folder))


def _carry_out(run: Run) -> int:
    interruption: KeyboardInterrupt | None = None
    try:
        failure = _attempt(run)
    except KeyboardInterrupt as error:
        interruption = error
        fix = "run the same command again to go on from the last finished stage"
        failure = Failure(run.stage, signals.told(error), fix)
    found = result.build(run.config, run.records, run.artifacts, run.commands, run.compared, failure)
    result.write(run.folder, found)
    timing = run.artifacts.get("benchmark")
    if isinstance(timing, Timing):
        result.write_latencies(run.folder, timing)
    if failure is None:
        _preview(run)
        display.summary(found)
    display.told(f"result: {run.folder / 'result.json'}")
    if interruption is not None:
        raise interruption  # ends a sweep too
    return callbacks.exit_code(found)


def _attempt(run: Run) -> Failure | None:
    try:
        source = cache(lambda: slices.data_source(run.config))
        with process.logging_to(run.folder):
            faults = preflight.find_faults(run.config, run.store, source)
        if faults:
            raise PreflightError(faults)
        run.go(planning.plan(run.config, source(), run.store.hash_files))
        run.compare_batches()
    except RunnerError as error:
        return _told(run, memory.explained(error, run.stage, run.config.batch.size) or error)
    except Exception as error:
        shortage = memory.explained(error, run.stage, run.config.batch.size)
        if shortage is not None:
            return _told(run, shortage)
        refused = refusals.machines_own(error)
        if refused is not None:
            return _told(run, refusals.refusal(refused, run.store.root))
        log.error(traceback.format_exc())  # a fault of the runner: recorded, and without a traceback on the terminal
        fix = "this is a fault of the runner: report it with run.log"
        return _told(run, RunnerError(f"{type(error).__name__}: {error}", fix))
    return None


def _told(run: Run, error: RunnerError) -> Failure:
    display.failure(f"{run.stage}: {error}")
    return Failure(run.stage, error.message, error.fix)


def _preview(run: Run) -> None:
    predictions = run.artifacts.get("infer")
    if run.config.dataset.preview and isinstance(predictions, Predictions):
        target = targets.parse(run.config.dataset.preview, "dataset.preview")
        written = targets.call(target, predictions.path, run.config.model.outputs[0], run.folder / "grid.png")
        if written:
            display.told(f"pictures: {written}")

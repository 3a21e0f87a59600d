"""Run one job: from a composed configuration to a result.json and an exit code, even on errors."""

from __future__ import annotations

import logging
import traceback
from contextlib import closing
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from runner.config import hooks, loading, targets
from runner.core import (
    HookError,
    OnnxModel,
    Predictions,
    PreflightError,
    RunnerError,
    Samples,
    StoreError,
    Timing,
    os_errors,
    out_of_memory,
    process,
    signals,
    write_atomically,
)
from runner.pipeline import display, dry_run, outcome, preflight, run_folder, sweep_job
from runner.pipeline.execute import Run
from runner.pipeline.setup import Setup, open_store
from runner.results import Failure, Result, result
from runner.tasks import decode_of, preview, reads_metadata

log = logging.getLogger(__name__)


def run_job(composed: DictConfig, folder: Path, keeps_refused: bool = True) -> int:
    """Run one composed configuration; print the outcome or error and write it to `folder`/result.json.

    Without `keeps_refused`, the folder is removed if nothing ran: the run was refused by its configuration or in
    preflight, or it was a dry run. Returns 0 all done and no gate failed; 1 an error; 2 a gate failed.
    """
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # no tracebacks if the log cannot be written, as on a full disk
    try:
        with os_errors.as_store_errors(folder, os_errors.RUN_DIR), hooks.watched():
            return _run_job(composed, folder, keeps_refused)
    except (StoreError, HookError) as error:  # result.json cannot be written; a hook fails in a dry run
        display.failure(str(error))
        return 1


def _run_job(composed: DictConfig, folder: Path, keeps_refused: bool) -> int:
    try:
        config = loading.load(composed)
        store = open_store(config)
    except RunnerError as error:
        display.failure(str(error))
        if not keeps_refused:
            run_folder.discard(folder)
            return 1
        with run_folder.held(folder):
            failure = Failure("config", error.message, error.fix)
            result.write(folder, outcome.refused(failure, sweep_job.typed_overrides()))
        return 1
    setup = Setup(config)
    if config.dry_run:
        with os_errors.as_store_errors(store.root):
            code = dry_run.show(setup, store)
        if not keeps_refused:
            run_folder.discard(folder)
        return code
    with run_folder.held(folder), closing(store):
        write_atomically(folder / "config.yaml", OmegaConf.to_yaml(composed, resolve=True).encode())
        try:
            return _carry_out(Run(setup, store, folder), keeps_refused)
        except PreflightError:
            run_folder.discard(folder)
            return 1


def _carry_out(run: Run, keeps_refused: bool) -> int:
    """Run, and write what came of it; raise a PreflightError, which is printed by then, if its folder is not kept."""
    interruption: KeyboardInterrupt | None = None
    try:
        failure = _attempt(run, keeps_refused)
    except KeyboardInterrupt as error:
        interruption = error
        fix = "run the same command again to go on from the last finished stage"
        failure = Failure(run.stage, signals.description(error), fix)
    made = _written(run, failure)
    if failure is None:
        broken = _preview(run)
        made = made if broken is None else _written(run, broken)
        display.summary(made)
    display.news(f"result: {run.folder / result.NAME}")
    if interruption is not None:
        raise interruption  # also ends a sweep
    return made.exit_code


def _written(run: Run, failure: Failure | None) -> Result:
    overrides = sweep_job.typed_overrides()
    made = outcome.build(run.setup, run.records, run.artifacts, run.commands, failure, overrides)
    result.write(run.folder, made)
    timing = run.artifacts.get("benchmark")
    if isinstance(timing, Timing):
        result.write_latencies(run.folder, timing)
    return made


def _attempt(run: Run, keeps_refused: bool) -> Failure | None:
    try:
        with hooks.watched():
            with process.logging_to(run.folder):
                plan = preflight.checked_plan(run.setup, run.store)
            run.go(plan)
            run.compare_batches()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        known = _known(run, error)
        if known is None:
            log.error(traceback.format_exc())  # recorded, and without a traceback on the terminal
            fix = "this is a fault of the runner: report it with run.log"
            known = RunnerError(f"{type(error).__name__}: {error}", fix)
        problems = known.problems if isinstance(known, PreflightError) else (known.problem,)
        for problem in problems:
            display.failure(f"{run.stage}: {problem}")
        if isinstance(known, PreflightError) and not keeps_refused:
            raise
        return Failure(run.stage, known.message, known.fix, problems if len(problems) > 1 else ())
    return None


def _known(run: Run, error: BaseException) -> RunnerError | None:
    """Return an error that a user can act on; None for a bug of the runner."""
    shortage = out_of_memory.explained(error, run.stage, run.setup.config.batch.size)
    if shortage is not None or isinstance(error, RunnerError):
        return shortage or error  # type: ignore[return-value]
    refused = os_errors.of_a_folder(error, run.store.root)
    return None if refused is None else os_errors.as_store_error(refused, run.store.root)


def _preview(run: Run) -> Failure | None:
    """Write the data set's preview, if it has one; return the failure if a callable of the user's fails."""
    samples, inferred = run.artifacts.get("prepare"), run.artifacts.get("infer")
    node = run.setup.config.dataset.preview
    if not node or not isinstance(samples, Samples) or not isinstance(inferred, Predictions):
        return None
    target = targets.parse(node, "dataset.preview")
    try:
        model = run.artifacts.get("export")
        metadata = model.metadata if isinstance(model, OnnxModel) and reads_metadata(run.setup.decode) else None
        decode = decode_of(run.setup.decode, metadata)
        examples = preview.examples(samples, inferred, decode, run.setup.geometry.channels)
        with hooks.watched():
            written = targets.call(target, examples, run.folder)
            if written is not None:
                hooks.checked(written, Path, targets.locate(target))
    except HookError as error:
        display.failure(f"preview: {error}")
        return Failure("preview", error.message, error.fix)
    except RunnerError as error:  # the result is there
        display.notice(f"no preview: {error}")
        return None
    if written:
        display.news(f"pictures: {written}")
    return None

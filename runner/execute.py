"""The one loop: reuse or run each stage, time it, record it."""

from __future__ import annotations

import importlib
import logging
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from runner import callbacks, commands, display, invariance, preflight, process, result, schema, slices, targets
from runner import plan as planning
from runner.artifacts import Artifact, Predictions, Timing
from runner.errors import PreflightError, RunnerError
from runner.invariance import Compared
from runner.plan import Plan, Stage
from runner.result import Failure, StageRecord
from runner.schema import RunConfig
from runner.store import Entry, Store
from runner.tools import Command

log = logging.getLogger(__name__)


class Run:
    """One run: what its stages made so far, and what became of them."""

    def __init__(self, config: RunConfig, store: Store, folder: Path) -> None:
        self.config = config
        self.store = store
        self.folder = folder
        self.artifacts: dict[str, Artifact] = {}
        self.records: list[StageRecord] = []
        self.commands: list[Command] = []
        self.compared: Compared | None = None
        self.stage = "preflight"

    def go(self, plan: Plan) -> None:
        """Go through the wanted stages in order; the first error ends the run."""
        wanted = plan.wanted(self.config.stages)
        for stage in plan.stages:
            if stage.name not in wanted:
                self.records.append(StageRecord(stage.name, "skipped", 0.0, None))
                continue
            self.stage = stage.name
            start = time.perf_counter()
            try:
                self.artifacts[stage.name], record = self._through(stage, start)
            except BaseException:
                self.records.append(StageRecord(stage.name, "failed", time.perf_counter() - start, None))
                raise
            self.records.append(record)
            if record.status != "skipped":
                display.stage_done(record.name, record.status, record.seconds)

    def compare_batches(self) -> None:
        """Set the run beside another batch size's, where it was scored and one has been run."""
        infer_key = next((record.key for record in self.records if record.name == "infer"), None)
        if infer_key is not None and "score" in self.artifacts and self.config.gates.batch_invariance.enabled:
            self.compared = invariance.compared(self.config, self.store, self.artifacts, infer_key)

    def _through(self, stage: Stage, start: float) -> tuple[Artifact, StageRecord]:
        inputs = {name: self.artifacts[name] for name in stage.needs}
        if not stage.stored:
            artifact = make(stage, inputs, self.store.root)
            return artifact, StageRecord(stage.name, "skipped", time.perf_counter() - start, None)
        key = planning.key(stage, inputs)
        entry, made = self._reuse_or_make(stage, key, inputs)
        if not made:
            self.commands += entry.commands
        return entry.artifact, StageRecord(stage.name, "ran" if made else "reused", time.perf_counter() - start, key)

    def _reuse_or_make(self, stage: Stage, key: str, inputs: dict[str, Artifact]) -> tuple[Entry[Artifact], bool]:
        forced = _forced(self.config, stage)
        found = None if forced else self.store.find(stage.name, key, stage.kind)
        if found is not None:
            return found, False
        with self.store.locked(stage.name, key, lambda: display.notice(f"{stage.name}: another run makes it; waiting")):
            found = None if forced else self.store.find(stage.name, key, stage.kind)
            if found is not None:
                return found, False
            if not forced and self.store.spoilt(stage.name, key):
                display.notice(f"{stage.name}: what was stored under {key} is damaged; it is made again")
            out = self.store.workplace(stage.name, key, stage.resumes)
            start = time.perf_counter()
            artifact, commands = self._make(stage, inputs, out)
            return self.store.publish(stage.name, key, artifact, time.perf_counter() - start, commands), True

    def _make(self, stage: Stage, inputs: dict[str, Artifact], out: Path) -> tuple[Artifact, list[Command]]:
        shown = nullcontext() if stage.name == "benchmark" else display.live()  # a live line would disturb it
        with shown, process.logging_to(self.folder), process.recording() as commands:
            try:
                return make(stage, inputs, out), commands
            finally:
                self.commands += commands


def make(stage: Stage, inputs: dict[str, Artifact], out: Path) -> Artifact:
    """Call runner.stages.<name>.<name>(spec, *inputs, out)."""
    function: Callable[..., Artifact] = getattr(importlib.import_module(f"runner.stages.{stage.name}"), stage.name)
    return function(stage.spec, *inputs.values(), out=out)


def run_job(composed: DictConfig, folder: Path) -> int:
    """Run one composed configuration; whatever happens is told and written to `folder`/result.json.

    Returns 0 all done and no gate failed; 1 an error; 2 a gate failed.
    """
    logging.captureWarnings(True)
    try:
        config = schema.load(composed)
    except RunnerError as error:
        display.failure(str(error))
        result.write(folder, result.refused(Failure("config", error.message, error.fix)))
        return 1
    store = Store(Path(config.cache_dir).expanduser().absolute())
    if config.dry_run:
        return dry_run(config, store)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(composed, resolve=True))
    run = Run(config, store, folder)
    interrupted = False
    try:
        failure = _attempt(run)
    except KeyboardInterrupt:
        interrupted = True
        failure = Failure(run.stage, "interrupted", "run the same command again to go on from the last finished stage")
    found = result.build(config, run.records, run.artifacts, run.commands, run.compared, failure)
    result.write(folder, found)
    timing = run.artifacts.get("benchmark")
    if isinstance(timing, Timing):
        result.write_latencies(folder, timing)
    if failure is None:
        _preview(run, folder)
        display.summary(found)
    display.told(f"result: {folder / 'result.json'}")
    if interrupted:
        raise KeyboardInterrupt  # ends a sweep too
    return callbacks.exit_code(found)


def _attempt(run: Run) -> Failure | None:
    try:
        source = cache(lambda: slices.data_source(run.config))
        faults = preflight.find_faults(run.config, run.store, source)
        if faults:
            raise PreflightError(faults)
        run.go(planning.plan(run.config, source(), run.store.hash_files))
        run.compare_batches()
    except RunnerError as error:
        display.failure(f"{run.stage}: {error}")
        return Failure(run.stage, error.message, error.fix)
    except Exception as error:  # a fault of the runner: still recorded, and without a traceback on the terminal
        log.error(traceback.format_exc())
        told = RunnerError(f"{type(error).__name__}: {error}", "this is a fault of the runner: report it with run.log")
        display.failure(f"{run.stage}: {told}")
        return Failure(run.stage, told.message, told.fix)
    return None


def _preview(run: Run, folder: Path) -> None:
    predictions = run.artifacts.get("infer")
    if run.config.dataset.preview and isinstance(predictions, Predictions):
        target = targets.parse(run.config.dataset.preview, "dataset.preview")
        written = targets.call(target, predictions.path, run.config.model.outputs[0], folder / "grid.png")
        if written:
            display.told(f"pictures: {written}")


def dry_run(config: RunConfig, store: Store) -> int:
    """Print the plan: each stage, whether it would be reused, and every external command; returns the exit code."""
    source = cache(lambda: slices.data_source(config))
    faults = preflight.find_faults(config, store, source)
    try:
        plan = planning.plan(config, source(), store.hash_files)
    except RunnerError as error:
        display.failure(str(PreflightError(faults) if faults else error))
        return 1
    wanted = plan.wanted(config.stages)
    known: dict[str, Artifact] = {}
    rows = []
    for stage in plan.stages:
        foreseen = _foreseen(stage, config, store, known) if stage.name in wanted else ("skipped", "")
        rows.append((stage.name, *foreseen))
    display.plan_table(rows, commands.foreseen(config, plan, known), [str(fault) for fault in faults])
    return 0


def _foreseen(stage: Stage, config: RunConfig, store: Store, known: dict[str, Artifact]) -> tuple[str, str]:
    """What would become of a stage, and its key as far as it is known; adds what would be reused to `known`."""
    unknown = [name for name in stage.needs if name not in known]
    if unknown:
        return ("run" if stage.stored else "skipped"), f"known after {unknown[0]}"
    inputs = {name: known[name] for name in stage.needs}
    if not stage.stored:
        known[stage.name] = make(stage, inputs, store.root)
        return "skipped", ""
    key = planning.key(stage, inputs)
    found = None if _forced(config, stage) else store.find(stage.name, key, stage.kind)
    if found is None:
        return "run", key
    known[stage.name] = found.artifact
    return "reused", key


def _forced(config: RunConfig, stage: Stage) -> bool:
    return config.force if isinstance(config.force, bool) else stage.name in config.force

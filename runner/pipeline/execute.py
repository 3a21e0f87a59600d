"""The execution loop: reuse or make each stage's artifact, time it and record it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from runner.config import hooks
from runner.core import Artifact, Command, RunnerError, StoreError, Waits, counted_by, os_errors, process
from runner.pipeline import display, invariance, keys, preflight
from runner.pipeline.keys import Stage
from runner.pipeline.plan import Plan
from runner.pipeline.setup import Setup
from runner.results import StageRecord
from runner.stages.order import INVARIANCE
from runner.store import Store, trial


class Run:
    """A run: the artifacts, records and commands of its stages so far."""

    def __init__(self, setup: Setup, store: Store, folder: Path) -> None:
        self.setup = setup
        self.store = store
        self.folder = folder
        self.artifacts: dict[str, Artifact] = {}
        self.records: list[StageRecord] = []
        self.commands: list[Command] = []
        self.keys: dict[str, str] = {}
        self.stage = "preflight"

    def go(self, plan: Plan) -> None:
        """Run the wanted stages in order; the first error ends the run."""
        remark = trial.check(self.store.root)
        if remark:
            display.notice(remark)
        wanted = plan.wanted(self.setup.config.stages)
        for stage in plan.stages:
            if stage.name in wanted:
                self._go_through(stage)
            else:
                self.records.append(StageRecord(stage.name, "skipped", 0.0, None))

    def compare_batches(self) -> None:
        """Compare the run with another batch size that was inferred before, if this run was scored."""
        if "score" not in self.artifacts or not self.setup.config.gates.batch_invariance.enabled:
            return
        try:
            with os_errors.as_store_errors(self.store.root):
                other = invariance.find_other(self.setup, self.store, self.artifacts, self.keys["infer"])
            if other is not None:
                batch, self.artifacts[invariance.OTHER] = other
                self._go_through(invariance.stage(batch))
        except StoreError as error:  # the store may be read-only; the run itself is done
            self.records = [record for record in self.records if record.name != INVARIANCE]
            display.notice(f"batch sizes are not compared: {error.message}")

    def _go_through(self, stage: Stage) -> None:
        self.stage = stage.name
        start = time.perf_counter()
        waits = Waits(display.notice)
        try:
            with counted_by(waits):
                self.artifacts[stage.name], made = self._artifact(stage)
        except BaseException:
            self.records.append(StageRecord(stage.name, "failed", time.perf_counter() - start - waits.seconds, None))
            raise
        seconds = time.perf_counter() - start - waits.seconds
        if not stage.stored:
            self.records.append(StageRecord(stage.name, "skipped", seconds, None))
            return
        record = StageRecord(stage.name, "ran" if made else "reused", seconds, self.keys[stage.name])
        self.records.append(record)
        display.stage_done(record.name, record.status, record.seconds)

    def _artifact(self, stage: Stage) -> tuple[Artifact, bool]:
        """Return the stage's artifact and whether it was made now."""
        inputs = {name: self.artifacts[name] for name in stage.needs}
        if not stage.stored:
            return make(stage, inputs, self.store.root), False
        key = keys.key(stage, inputs)
        entry, made = self.store.get_or_make(
            stage.name,
            key,
            stage.kind,
            lambda out: self._make(stage, inputs, out),
            force=is_forced(self.setup, stage),
            resumes=stage.resumes,
            notify=display.notice,
        )
        self.keys[stage.name] = key
        if not made:
            self.commands += entry.commands
        return entry.artifact, made

    def _make(self, stage: Stage, inputs: dict[str, Artifact], out: Path) -> tuple[Artifact, list[Command]]:
        self._check(inputs)
        if stage.announcement:
            display.news(stage.announcement)
        shown = nullcontext() if stage.announcement else display.live()
        with shown, process.logging_to(self.folder), process.recording() as commands:
            try:
                with hooks.watched():
                    return make(stage, inputs, out), commands
            except RunnerError:
                raise
            except Exception as error:
                refused = os_errors.of_the_machine(error)
                if refused is None:
                    raise
                needed = preflight.DISK_RESERVE_BYTES
                raise os_errors.as_store_error(refused, out, needed_bytes=needed) from error
            finally:
                self.commands += commands

    def _check(self, inputs: dict[str, Artifact]) -> None:
        """Raise StoreError if an input was damaged since it was pinned."""
        for name, artifact in inputs.items():
            damage = self.store.damage(name, self.keys[name], type(artifact)) if name in self.keys else None
            if damage:
                raise StoreError(
                    f"what {name} made is damaged since this run took it: {damage}", "run again, and it is made anew"
                )


def make(stage: Stage, inputs: dict[str, Artifact], out: Path) -> Artifact:
    """Call the stage's function and return its artifact."""
    module = importlib.import_module(stage.module)
    function: Callable[..., Artifact] = getattr(module, stage.module.rpartition(".")[2])
    return function(stage.spec, *inputs.values(), out=out)


def is_forced(setup: Setup, stage: Stage) -> bool:
    """Whether the stage must run even if its artifact is stored."""
    force = setup.config.force
    return force if isinstance(force, bool) else stage.name in force

"""The one loop: reuse or run each stage, time it, record it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from runner import display, invariance, preflight, process, refusals
from runner import plan as planning
from runner.artifacts import Artifact
from runner.errors import RunnerError, StoreError
from runner.invariance import Compared
from runner.plan import Plan, Stage
from runner.result import StageRecord
from runner.schema import RunConfig
from runner.store import Entry, Store
from runner.tools import Command


class Run:
    """One run: what its stages made so far, and what became of them."""

    def __init__(self, config: RunConfig, store: Store, folder: Path) -> None:
        self.config = config
        self.store = store
        self.folder = folder
        self.artifacts: dict[str, Artifact] = {}
        self.records: list[StageRecord] = []
        self.commands: list[Command] = []
        self.keys: dict[str, str] = {}
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
            try:
                with refusals.told(self.store.root):
                    self.compared = invariance.compared(self.config, self.store, self.artifacts, infer_key)
            except StoreError as error:  # a store that is only read, perhaps: the run itself is done
                display.notice(f"batch sizes are not compared: {error.message}")

    def _through(self, stage: Stage, start: float) -> tuple[Artifact, StageRecord]:
        inputs = {name: self.artifacts[name] for name in stage.needs}
        if not stage.stored:
            artifact = make(stage, inputs, self.store.root)
            return artifact, StageRecord(stage.name, "skipped", time.perf_counter() - start, None)
        key = planning.key(stage, inputs)
        entry, made = self._reuse_or_make(stage, key, inputs)
        self.keys[stage.name] = key
        if not made:
            self.commands += entry.commands
        return entry.artifact, StageRecord(stage.name, "ran" if made else "reused", time.perf_counter() - start, key)

    def _reuse_or_make(self, stage: Stage, key: str, inputs: dict[str, Artifact]) -> tuple[Entry[Artifact], bool]:
        forced = is_forced(self.config, stage)
        found = self.store.take(stage.name, key, stage.kind)
        if found is not None and not forced:
            return found, False
        with self.store.locked(stage.name, key, lambda: display.notice(f"{stage.name}: another run makes it; waiting")):
            if not forced:
                found = self.store.take(stage.name, key, stage.kind) or self.store.finish(stage.name, key, stage.kind)
                if found is not None:
                    return found, False
                damage = self.store.damage(stage.name, key, stage.kind)
                if damage:
                    display.notice(f"{stage.name}: what was stored under {key} is damaged, {damage}; it is made again")
            self._check(inputs)
            out = self.store.workplace(stage.name, key, stage.resumes)
            start = time.perf_counter()
            try:
                artifact, commands = self._make(stage, inputs, out)
                return self.store.publish(stage.name, key, artifact, time.perf_counter() - start, commands), True
            except StoreError:
                if not stage.resumes:
                    self.store.discard(stage.name, key)  # what is half made takes the room that may be wanting
                raise

    def _check(self, inputs: dict[str, Artifact]) -> None:
        """What was whole when it was taken may have been changed since."""
        for name, artifact in inputs.items():
            damage = self.store.damage(name, self.keys[name], type(artifact)) if name in self.keys else None
            if damage:
                raise StoreError(
                    f"what {name} made is damaged since this run took it: {damage}", "run again, and it is made anew"
                )

    def _make(self, stage: Stage, inputs: dict[str, Artifact], out: Path) -> tuple[Artifact, list[Command]]:
        shown = nullcontext() if stage.name == "benchmark" else display.live()  # a live line would disturb it
        with shown, process.logging_to(self.folder), process.recording() as commands:
            try:
                return make(stage, inputs, out), commands
            except RunnerError:
                raise
            except Exception as error:
                refused = refusals.machines_own(error)
                if refused is None:
                    raise
                raise refusals.refusal(refused, out, needed_bytes=preflight.DISK_RESERVE_BYTES) from error
            finally:
                self.commands += commands


def make(stage: Stage, inputs: dict[str, Artifact], out: Path) -> Artifact:
    """Call runner.stages.<name>.<name>(spec, *inputs, out)."""
    function: Callable[..., Artifact] = getattr(importlib.import_module(f"runner.stages.{stage.name}"), stage.name)
    return function(stage.spec, *inputs.values(), out=out)


def is_forced(config: RunConfig, stage: Stage) -> bool:
    """Whether the stage is to be redone though it is stored."""
    return config.force if isinstance(config.force, bool) else stage.name in config.force

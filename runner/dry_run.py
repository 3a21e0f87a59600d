"""What a run would do, without doing it."""

from __future__ import annotations

from functools import cache

from runner import commands, display, execute, preflight, slices
from runner import plan as planning
from runner.artifacts import Artifact
from runner.errors import PreflightError, RunnerError
from runner.plan import Stage
from runner.schema import RunConfig
from runner.store import Store


def show(config: RunConfig, store: Store) -> int:
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
        known[stage.name] = execute.make(stage, inputs, store.root)
        return "skipped", ""
    key = planning.key(stage, inputs)
    found = None if execute.is_forced(config, stage) else store.find(stage.name, key, stage.kind)
    if found is None:
        return "run", key
    known[stage.name] = found.artifact
    return "reused", key

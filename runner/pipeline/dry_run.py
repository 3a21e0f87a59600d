"""Show what a run would do, without running it."""

from __future__ import annotations

from runner.core import Artifact, PreflightError, RunnerError
from runner.pipeline import commands, display, execute, keys, preflight
from runner.pipeline import plan as planning
from runner.pipeline.keys import Stage
from runner.pipeline.setup import Setup
from runner.store import Store


def show(setup: Setup, store: Store) -> int:
    """Print the plan: each stage, whether it would be reused, and every external command; return the exit code."""
    problems = preflight.find_problems(setup, store)
    try:
        plan = planning.plan(setup, store.hash_files)
    except RunnerError as error:
        display.failure(str(PreflightError(problems) if problems else error))
        return 1
    wanted = plan.wanted(setup.config.stages)
    known: dict[str, Artifact] = {}
    rows = []
    for stage in plan.stages:
        action, key = _prospect(stage, setup, store, known) if stage.name in wanted else ("skipped", "")
        rows.append((stage.name, action, key))
    lines = commands.shell_lines(setup, wanted, known)
    display.plan_table(rows, lines, [str(problem) for problem in problems])
    return 0


def _prospect(stage: Stage, setup: Setup, store: Store, known: dict[str, Artifact]) -> tuple[str, str]:
    """Return what would be done for a stage and its key, if known; add what would be reused to `known`."""
    unknown = [name for name in stage.needs if name not in known]
    if unknown:
        return ("run" if stage.stored else "skipped"), f"known after {unknown[0]}"
    inputs = {name: known[name] for name in stage.needs}
    if not stage.stored:
        known[stage.name] = execute.make(stage, inputs, store.root)
        return "skipped", ""
    key = keys.key(stage, inputs)
    entry = None if execute.is_forced(setup, stage) else store.find(stage.name, key, stage.kind)
    if entry is None:
        return "run", key
    known[stage.name] = entry.artifact
    return "reused", key

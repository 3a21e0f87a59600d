"""Show what a run would do, without running it."""

from __future__ import annotations

from runner.core import RunnerError
from runner.pipeline import commands, display, preflight, prospect
from runner.pipeline import plan as planning
from runner.pipeline.setup import Setup
from runner.store import Store


def show(setup: Setup, store: Store) -> int:
    """Print the plan: each stage, whether it would be reused, and every external command; return the exit code."""
    problems = preflight.find_problems(setup, store)
    try:
        plan = planning.plan(setup, store.hash_files)
    except RunnerError as error:
        for problem in problems or [error.problem]:
            display.failure(str(problem))
        return 1
    prospects, known = prospect.look_ahead(setup, store, plan)
    soc, tool = setup.config.soc, setup.config.tool
    if soc.kind in tool.serves:
        lines = commands.shell_lines(setup, plan.wanted(setup.config.stages), known)
    else:
        lines = [f"# none: tool={tool.name} cannot serve soc={soc.name}"]
    rows = [(each.stage, each.action, each.key) for each in prospects]
    display.plan_table(rows, lines, [str(problem) for problem in problems])
    return 0

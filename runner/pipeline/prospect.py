"""What a run would do in each stage, found without running it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from runner.core import Artifact, RunnerError
from runner.pipeline import execute, keys
from runner.pipeline.keys import Stage
from runner.pipeline.plan import Plan
from runner.pipeline.setup import Setup
from runner.store import Store


@dataclass(frozen=True)
class Prospect:
    """What would be done in a stage: run it, reuse what is stored, or nothing.

    `key` is its key in the store, or tells after which stage it is known. Two stages of the same `work` make the same
    artifact, and the second one reuses it unless it `is_forced`.
    """

    stage: str
    action: Literal["run", "reused", "skipped"]
    key: str = ""
    work: str = ""
    is_forced: bool = False


def look_ahead(setup: Setup, store: Store, plan: Plan) -> tuple[list[Prospect], dict[str, Artifact]]:
    """Return what would be done in each stage of the plan, and the artifacts by stage that are known already."""
    wanted = plan.wanted(setup.config.stages)
    known: dict[str, Artifact] = {}
    identities: dict[str, str] = {}
    prospects = []
    for stage in plan.stages:
        prospect = _prospect(stage, setup, store, known, identities) if stage.name in wanted else None
        prospects.append(prospect or Prospect(stage.name, "skipped"))
        if prospect is not None:
            identities[stage.name] = known[stage.name].identity if stage.name in known else prospect.work
    return prospects, known


def _prospect(
    stage: Stage, setup: Setup, store: Store, known: dict[str, Artifact], identities: dict[str, str]
) -> Prospect:
    """Return the prospect of a wanted stage; add its artifact to `known` if it would be reused.

    `identities` are those of the stages before it. One that is not known yet is represented by its work: it is a hash
    of everything that determines the artifact.
    """
    work = keys.key_of(stage, {name: identities[name] for name in stage.needs})
    is_forced = stage.stored and execute.is_forced(setup, stage)
    unknown = [name for name in stage.needs if name not in known]
    if unknown:
        return Prospect(stage.name, "run" if stage.stored else "skipped", f"known after {unknown[0]}", work, is_forced)
    if not stage.stored:
        with suppress(RunnerError):  # preflight tells it
            known[stage.name] = execute.make(stage, {name: known[name] for name in stage.needs}, store.root)
        return Prospect(stage.name, "skipped", work=work)
    entry = None if is_forced else store.find(stage.name, work, stage.kind)
    if entry is None or store.flaw(entry):
        return Prospect(stage.name, "run", work, work, is_forced)
    known[stage.name] = entry.artifact
    return Prospect(stage.name, "reused", work, work)

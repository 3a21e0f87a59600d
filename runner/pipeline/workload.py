"""The work of a sweep's jobs: what they vary, what they share, and what is left to make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass

from omegaconf import DictConfig, open_dict

from runner.config import loading
from runner.core import RunnerError, first_few
from runner.pipeline import plan as planning
from runner.pipeline import prospect
from runner.pipeline.prospect import Prospect
from runner.pipeline.setup import Setup, open_store

MOST_VALUES = 8
"""How many values of a key are shown."""


@dataclass(frozen=True)
class Workload:
    """The work of `jobs` jobs, with what several of them share counted once.

    `shared` names the stages that one of them does for all, `shared_in_part` those that several share; `stored` is how
    many jobs have everything in the store; `left` is how often each other stage is to be run.
    """

    jobs: int
    shared: tuple[str, ...]
    shared_in_part: tuple[str, ...]
    stored: int
    left: dict[str, int]


def of_configurations(composed: Iterable[DictConfig]) -> Workload:
    """Return the workload of jobs that were composed; those that cannot be planned are left out, and say why later."""
    prospects = map(_look_ahead, composed)
    return add_up([each for each in prospects if each is not None])


def _look_ahead(composed: DictConfig) -> list[Prospect] | None:
    job = copy(composed)
    with open_dict(job):
        del job["hydra"]
    try:
        setup = Setup(loading.load(job))
        store = open_store(setup.config)
        return prospect.look_ahead(setup, store, planning.plan(setup, store.hash_files))[0]
    except RunnerError:
        return None


def add_up(jobs: Sequence[Sequence[Prospect]]) -> Workload:
    """Return the workload of jobs whose stages have these prospects."""
    works: dict[str, list[str]] = {}
    left: dict[str, set[str]] = {}
    for number, prospects in enumerate(jobs):
        for each in prospects:
            if not each.work or (each.action == "skipped"):
                continue
            work = f"{each.work} of {number}" if each.is_forced else each.work
            works.setdefault(each.stage, []).append(work)
            if each.action == "run":
                left.setdefault(each.stage, set()).add(work)
    several = {stage: len(set(given)) for stage, given in works.items() if len(set(given)) < len(given)}
    shared = tuple(stage for stage, made in several.items() if made == 1 and len(works[stage]) == len(jobs))
    return Workload(
        jobs=len(jobs),
        shared=shared,
        shared_in_part=tuple(stage for stage in several if stage not in shared),
        stored=sum(all(each.action != "run" for each in prospects) for prospects in jobs),
        left={stage: len(made) for stage, made in left.items()},
    )


def varied(jobs: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Return the keys whose values differ between jobs, given their overrides, and all values of each in order."""
    values: dict[str, list[str]] = {}
    for overrides in jobs:
        for override in overrides:
            key, _, value = override.partition("=")
            values.setdefault(key, []).append(value)
    distinct = {key: list(dict.fromkeys(given)) for key, given in values.items()}
    return {key: given for key, given in distinct.items() if len(given) > 1}


def described(jobs: Sequence[Sequence[str]]) -> str:
    """Return text such as "6 jobs: batch=1,4,8 x seed=0,1", given the overrides of each job."""
    axes = " x ".join(f"{key}={_listed(values)}" for key, values in varied(jobs).items())
    return f"{len(jobs)} job{'s' if len(jobs) != 1 else ''}" + (f": {axes}" if axes else "")


def shared_work(workload: Workload) -> str:
    """Return text such as "shared: weights, export; in part: infer"; empty if jobs share nothing."""
    parts = (("shared", workload.shared), ("shared in part", workload.shared_in_part))
    return "; ".join(f"{what}: {', '.join(stages)}" for what, stages in parts if stages)


def left_to_do(workload: Workload) -> str:
    """Return text such as "stored: 2 of 6 jobs; left to run: export, infer (4)"."""
    left = ", ".join(stage if count == 1 else f"{stage} ({count})" for stage, count in workload.left.items())
    return f"stored: {workload.stored} of {workload.jobs} jobs; left to run: {left or 'nothing'}"


def _listed(values: Sequence[str]) -> str:
    return ",".join(values) if len(values) <= MOST_VALUES else first_few(values, MOST_VALUES)

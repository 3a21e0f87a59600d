"""Profiles: the operators of a compiled model that take most time, as told by the profiler of a tool."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from runner.core import Command, CompiledModel, OperatorTime, Placement, Problem
from runner.core.lazy import NDArray
from runner.tools.tool import DryRunPaths

PROFILED_CALLS = 11
"""Calls of the model in a profile. The first does not count, since operators prepare themselves in it."""
SLOWEST = 10
"""How many operators are told."""


@runtime_checkable
class ProfilingTool(Protocol):
    """A runner.tools.Tool that has a profiler."""

    def profile_problems(self, placement: Placement) -> list[Problem]:
        """Return the problems that prevent a profile here."""

    def profile_commands(self, paths: DryRunPaths, placement: Placement) -> list[Command]:
        """Return the command lines of `profile`; none for a tool in this process."""

    def profile(
        self, model: CompiledModel, placement: Placement, inputs: Mapping[str, NDArray[Any]], work: Path
    ) -> tuple[OperatorTime, ...]:
        """Profile PROFILED_CALLS calls on one batch of inputs [batch, ...], on the first device of the placement.

        Return the slowest operators; `work` is an empty folder for files.
        """


def first_device(placement: Placement) -> Placement:
    """Return the placement's first device alone, the one that is profiled."""
    return replace(placement, devices=placement.devices[:1])


class Execution(NamedTuple):
    """One execution of an operator; `type` is such as Conv."""

    name: str
    type: str
    milliseconds: float


def slowest(executions: Iterable[Execution]) -> tuple[OperatorTime, ...]:
    """Return the operators that take most time, the slowest first, from their executions in the order of time.

    The first execution of an operator does not count, if it has others.
    """
    by_operator: dict[tuple[str, str], list[float]] = {}
    for name, kind, milliseconds in executions:
        by_operator.setdefault((name, kind), []).append(milliseconds)
    counted = {operator: times[1:] or times for operator, times in by_operator.items()}
    totals_ms = {operator: math.fsum(times) for operator, times in counted.items()}
    whole_ms = math.fsum(totals_ms.values())
    ordered = sorted(totals_ms, key=lambda operator: totals_ms[operator], reverse=True)[:SLOWEST]
    return tuple(
        OperatorTime(
            name=name,
            type=kind,
            mean_ms=totals_ms[name, kind] / len(counted[name, kind]),
            percent=100.0 * totals_ms[name, kind] / whole_ms if whole_ms else 0.0,
        )
        for name, kind in ordered
    )

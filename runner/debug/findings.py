"""Steps beside each other: how close each is to the one before, and the layers where ONNX models part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from runner.debug import layers, replay, runtimes
from runner.debug.closeness import Closeness, Tolerance, closeness
from runner.debug.layers import Layers, Parting
from runner.debug.replay import Saved
from runner.debug.steps import Step
from runner.errors import ComparisonError

SCHEMA = 1
AGREE, ERROR, PART = 0, 1, 2
"""Exit codes."""


@dataclass(frozen=True)
class Comparison:
    """A step beside the one before it."""

    step: Step
    before: Step
    outputs: dict[str, Closeness]

    @property
    def parts(self) -> bool:
        """Whether any output is further off than the step's limit."""
        return not all(self.step.limit.holds(found) for found in self.outputs.values())


@dataclass(frozen=True)
class LayersFound:
    """The layers of the two steps of a comparison, and where the first parting node was saved, if there is one."""

    comparison: Comparison
    layers: Layers
    saved: Saved | None

    @property
    def command(self) -> str | None:
        """What runs the saved node again."""
        if self.saved is None:
            return None
        model = self.comparison.step.model
        # A graph that the runtime optimised is saved as optimised: it runs node by node.
        second_runtime = model.runtime if model and model.runtime == runtimes.REFERENCE else None
        return self.saved.command(second_runtime)


@dataclass(frozen=True)
class Findings:
    """What was found out. `error` is what ended it early, `inputs` the file with what the network was given."""

    title: str
    inputs: Path
    comparisons: Sequence[Comparison]
    layers: Sequence[LayersFound]
    tolerance: Tolerance
    error: str | None

    @property
    def first_parting(self) -> Comparison | None:
        """The first step that parts from the one before it."""
        return next((each for each in self.comparisons if each.parts), None)

    @property
    def exit_code(self) -> int:
        """0 all agree, 2 a step or a layer parts; 1 where an error came before anything parted."""
        if self.first_parting or any(each.layers.part for each in self.layers):
            return PART
        return ERROR if self.error else AGREE


def in_turn(steps: Iterable[Step]) -> Iterator[Comparison]:
    """Each step beside the one before it, as they come.

    Raises:
        ComparisonError: the two give outputs of other names.
    """
    before: Step | None = None
    for step in steps:
        if before is not None:
            yield Comparison(step, before, compared(step, before))
        before = step


def compared(step: Step, before: Step) -> dict[str, Closeness]:
    """How close each output is to the step before.

    Raises:
        ComparisonError: the two give outputs of other names.
    """
    if set(step.outputs) != set(before.outputs):
        raise ComparisonError(
            f"{before.name} gives the outputs {', '.join(before.outputs)}, {step.name} {', '.join(step.outputs)}",
            "outputs are compared by exact name: rename those of one",
        )
    return {name: closeness(step.outputs[name], array) for name, array in before.outputs.items()}


def look_into(
    comparison: Comparison, feeds: Mapping[str, NDArray[Any]], tolerance: Tolerance, folder: Path
) -> LayersFound | None:
    """Compare the layers of two steps and save the first node that parts in `folder`; None where none can be seen.

    Raises:
        ToolError: a runtime refuses a model.
    """
    one, other = comparison.before.model, comparison.step.model
    if one is None or other is None:
        return None
    found = layers.compare(one, other, feeds, tolerance)
    parting = found.first.replay if found.first else None
    return LayersFound(comparison, found, replay.save(parting, folder) if parting else None)


def as_report(findings: Findings) -> dict[str, Any]:
    """What report.json holds."""
    first = findings.first_parting
    return {
        "schema": SCHEMA,
        "status": {AGREE: "agree", PART: "part", ERROR: "error"}[findings.exit_code],
        "title": findings.title,
        "inputs": str(findings.inputs),
        "tolerance": asdict(findings.tolerance),
        "first_parting_step": first.step.name if first else None,
        "steps": [_step(each) for each in findings.comparisons],
        "layers": [_layers(each, findings.tolerance) for each in findings.layers],
        "error": findings.error,
    }


def _step(comparison: Comparison) -> dict[str, Any]:
    return {
        "name": comparison.step.name,
        "by": comparison.step.by,
        "model": str(comparison.step.model.path) if comparison.step.model else None,
        "against": comparison.before.name,
        "limit": str(comparison.step.limit),
        "parts": comparison.parts,
        "outputs": {name: asdict(found) for name, found in comparison.outputs.items()},
    }


def _layers(found: LayersFound, tolerance: Tolerance) -> dict[str, Any]:
    seen = found.layers
    return {
        "step": found.comparison.step.name,
        "against": found.comparison.before.name,
        "first": _parting(seen.first, found) if seen.first else None,
        "passed_on": seen.passed_on,
        "parting": list(seen.parting),
        "renamed": seen.renamed,
        "missing": list(seen.missing),
        "tensors": {name: asdict(each) for name, each in seen.compared.items()},
    }


def _parting(parting: Parting, found: LayersFound) -> dict[str, Any]:
    saved = found.saved
    return {
        "tensor": parting.tensor,
        "node": asdict(parting.node),
        "other_node": asdict(parting.other_node),
        "between": list(parting.between),
        "inputs": {name: asdict(each) for name, each in parting.inputs.items()},
        "output": asdict(parting.output),
        "alone": asdict(parting.alone) if parting.alone else None,
        "alone_parts": parting.alone_parts,
        "alone_fails": parting.alone_fails,
        "differences": list(parting.differences),
        "swallowed": list(parting.swallowed),
        "replay": None
        if saved is None
        else {
            "models": [str(path) for path in saved.models],
            "inputs": str(saved.inputs),
            "outputs": str(saved.outputs),
            "command": found.command,
        },
    }

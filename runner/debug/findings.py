"""Compare each step with the one before, and find the layers where ONNX models diverge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.core import ComparisonError
from runner.core.lazy import NDArray
from runner.debug import layers, replay, runtimes
from runner.debug.closeness import Closeness, Tolerance, closeness
from runner.debug.dumps import LIMIT, DumpsCompared
from runner.debug.layers import Divergence, Layers
from runner.debug.replay import Saved
from runner.debug.steps import Step

SCHEMA = 1
AGREE, ERROR, DIVERGE = 0, 1, 2
"""Exit codes."""


@dataclass(frozen=True)
class Comparison:
    """A step compared with the one before it."""

    step: Step
    before: Step
    outputs: dict[str, Closeness]

    @property
    def diverges(self) -> bool:
        """Whether any output exceeds the step's limit."""
        return not all(self.step.limit.holds(close) for close in self.outputs.values())


@dataclass(frozen=True)
class LayersFound:
    """The compared layers of two steps, and the files of the first diverging node, if there is one."""

    comparison: Comparison
    layers: Layers
    saved: Saved | None

    @property
    def command(self) -> str | None:
        """The command line that runs the saved node again."""
        if self.saved is None:
            return None
        model = self.comparison.step.model
        # A graph that the runtime optimised is saved in its optimised form, so it runs node by node.
        second_runtime = model.runtime if model and model.runtime == runtimes.REFERENCE else None
        return self.saved.command(second_runtime)


@dataclass(frozen=True)
class Findings:
    """All results. `error` is what ended the comparison early, `inputs` the file with the network's inputs."""

    title: str
    inputs: Path
    comparisons: Sequence[Comparison]
    layers: Sequence[LayersFound]
    tolerance: Tolerance
    error: str | None

    @property
    def first_divergence(self) -> Comparison | None:
        """The first step that diverges from the one before it."""
        return next((each for each in self.comparisons if each.diverges), None)

    @property
    def exit_code(self) -> int:
        """0 if all agree, 2 if a step or a layer diverges, 1 if an error came before any divergence."""
        if self.first_divergence or any(each.layers.diverge for each in self.layers):
            return DIVERGE
        return ERROR if self.error else AGREE


def in_turn(steps: Iterable[Step]) -> Iterator[Comparison]:
    """Compare each step with the one before it, as the steps come.

    Raises:
        ComparisonError: the names of their outputs differ.
    """
    before: Step | None = None
    for step in steps:
        if before is not None:
            yield Comparison(step, before, compared(step, before))
        before = step


def compared(step: Step, before: Step) -> dict[str, Closeness]:
    """Compare each output with that of the step before.

    Raises:
        ComparisonError: the names of their outputs differ.
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
    """Compare the layers of two steps and save the first diverging node in `folder`; None if a step has no layers.

    Raises:
        ToolError: a runtime rejects a model.
    """
    one, other = comparison.before.model, comparison.step.model
    if one is None or other is None:
        return None
    compared = layers.compare(one, other, feeds, tolerance)
    saved = replay.save(compared.first.replay, folder) if compared.first and compared.first.replay else None
    return LayersFound(comparison, compared, saved)


def as_report(findings: Findings) -> dict[str, Any]:
    """Return the content of report.json."""
    first = findings.first_divergence
    return {
        "schema": SCHEMA,
        "status": {AGREE: "agree", DIVERGE: "part", ERROR: "error"}[findings.exit_code],
        "title": findings.title,
        "inputs": str(findings.inputs),
        "tolerance": asdict(findings.tolerance),
        "first_parting_step": first.step.name if first else None,
        "steps": [_step(each) for each in findings.comparisons],
        "layers": [_layers(each, findings.tolerance) for each in findings.layers],
        "error": findings.error,
    }


def dumps_as_report(compared: DumpsCompared, model: Path, dumps: Path, inputs: Path) -> dict[str, Any]:
    """Return the content of report.json for the dumps of a card."""
    return {
        "schema": SCHEMA,
        "status": "part" if compared.diverging else "agree",
        "model": str(model),
        "dumps": str(dumps),
        "inputs": str(inputs),
        "limit": str(LIMIT),
        "first": asdict(compared.first) if compared.first else None,
        "parting": list(compared.diverging),
        "renamed": compared.renamed,
        "missing": list(compared.missing),
        "tensors": {name: asdict(each) for name, each in compared.compared.items()},
    }


def _step(comparison: Comparison) -> dict[str, Any]:
    return {
        "name": comparison.step.name,
        "by": comparison.step.by,
        "model": str(comparison.step.model.path) if comparison.step.model else None,
        "against": comparison.before.name,
        "limit": str(comparison.step.limit),
        "parts": comparison.diverges,
        "outputs": {name: asdict(close) for name, close in comparison.outputs.items()},
    }


def _layers(layers_found: LayersFound, tolerance: Tolerance) -> dict[str, Any]:
    layers = layers_found.layers
    return {
        "step": layers_found.comparison.step.name,
        "against": layers_found.comparison.before.name,
        "first": _divergence(layers.first, layers_found) if layers.first else None,
        "passed_on": layers.passed_on,
        "parting": list(layers.diverging),
        "renamed": layers.renamed,
        "missing": list(layers.missing),
        "tensors": {name: asdict(each) for name, each in layers.compared.items()},
    }


def _divergence(divergence: Divergence, layers_found: LayersFound) -> dict[str, Any]:
    saved = layers_found.saved
    return {
        "tensor": divergence.tensor,
        "node": asdict(divergence.node),
        "other_node": asdict(divergence.other_node),
        "between": list(divergence.between),
        "inputs": {name: asdict(each) for name, each in divergence.inputs.items()},
        "output": asdict(divergence.output),
        "alone": asdict(divergence.alone) if divergence.alone else None,
        "alone_parts": divergence.diverges_alone,
        "alone_fails": divergence.alone_fails,
        "differences": list(divergence.differences),
        "swallowed": list(divergence.swallowed),
        "replay": None
        if saved is None
        else {
            "models": [str(path) for path in saved.models],
            "inputs": str(saved.inputs),
            "outputs": str(saved.outputs),
            "command": layers_found.command,
        },
    }

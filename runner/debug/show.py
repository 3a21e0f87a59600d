"""Print the findings on standard output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from runner.core import first_few
from runner.core.terminal import Console
from runner.debug.closeness import Closeness, Limit
from runner.debug.dumps import LIMIT, DumpsCompared
from runner.debug.findings import Comparison, Findings, LayersFound
from runner.debug.layers import Divergence, First
from runner.debug.steps import Step

MOST_NAMES = 8
"""How many names of a longer list are printed."""


def findings(results: Findings, report: Path) -> None:
    """Print the table of the steps, the first step that diverges, and the first node that does."""
    console = Console(markup=True, soft_wrap=True)
    steps = list(_steps(results))
    width = max((len(step.name) for step in steps), default=0)
    for step in steps:
        console.print(f"{step.name:<{width}}  {step.by}", markup=False)
    console.print(_table(results))
    for line in _lines(results, report):
        console.print(line, markup=False)


def dumps(compared: DumpsCompared, model: Path, folder: Path, report: Path) -> None:
    """Print how many dumps of a card agree with the model's tensors, and the first that does not."""
    console = Console(markup=True, soft_wrap=True)
    for line in _dumps(compared, model, folder, report):
        console.print(line, markup=False)


def _dumps(compared: DumpsCompared, model: Path, folder: Path, report: Path) -> Iterator[str]:
    renamed = f" ({len(compared.renamed)} of fused operators, matched by value)" if compared.renamed else ""
    yield (
        f"{folder} against {model} in ONNX Runtime: {len(compared.compared)} tensors compared{renamed},"
        f" {len(compared.missing)} nodes without a dump, {len(compared.diverging)} diverge (limit: {LIMIT})"
    )
    first = compared.first
    if first is not None:
        yield from _first(first, "", "without a dump")
    yield f"report: {report}"


def _first(first: First, twin: str, unseen: str) -> Iterator[str]:
    """Yield the first node that diverges, with its `twin` in the second model, and what it was given and computed.

    `unseen` says of the nodes before it why one of them may be at fault instead.
    """
    yield f"first node that diverges: {first.node.name} ({first.node.op}){twin}"
    if len(first.between) > 1:
        yield f"  or one before it {unseen}: {first_few(first.between[:-1], MOST_NAMES)}"
    for name, close in first.inputs.items():
        yield f"  input {name}: {_close(close)}"
    yield f"  output {first.tensor}: {_close(first.output)}"


def _table(results: Findings) -> Table:
    title = f"{escape(results.title)}: each step against the one before it"
    table = Table(title=title, title_justify="left")
    for name in ("step", "output"):
        table.add_column(name, overflow="fold")
    for name in ("cosine", "max abs", "max rel", "top-1"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for comparison in results.comparisons:
        for output, close in comparison.outputs.items():
            table.add_row(*map(escape, _row(comparison, output, close)), _verdict(comparison.step.limit, close))
    return table


def _steps(results: Findings) -> Iterator[Step]:
    yield from (each.before for each in results.comparisons[:1])
    yield from (each.step for each in results.comparisons)


def _row(comparison: Comparison, output: str, close: Closeness) -> tuple[str, ...]:
    if close.incomparable:
        return comparison.step.name, output, "-", "-", "-", "-"
    top1 = "" if close.top1_agreement is None else f"{close.top1_agreement:.0f} %"
    figures = f"{close.cosine:.8f}", f"{close.max_abs:.2e}", f"{close.max_rel:.2e}", top1
    return comparison.step.name, output, *figures


def _verdict(limit: Limit, close: Closeness) -> str:
    return "[green]agrees[/]" if limit.holds(close) else "[red]diverges[/]"


def _lines(results: Findings, report: Path) -> Iterator[str]:
    for comparison in results.comparisons:
        yield from _notes(comparison)
    if results.error:
        yield f"ended early: {results.error}"
    first = results.first_divergence
    if first:
        yield f"the first step that diverges: {first.step.name}, from {first.before.name} (limit: {first.step.limit})"
    elif not results.error:
        yield f"no output diverges ({'; '.join(dict.fromkeys(str(each.step.limit) for each in results.comparisons))})"
    for each in results.layers:
        yield from _layers(each)
    if first and not any(each.comparison is first for each in results.layers):
        yield from _unseen(first, results)
    yield f"report: {report}"


def _notes(comparison: Comparison) -> Iterator[str]:
    for output, close in comparison.outputs.items():
        if close.incomparable:
            yield f"{comparison.step.name}, output {output}: {close.incomparable}"
        elif close.not_finite:
            yield f"{comparison.step.name}, output {output}: {close.not_finite} values are NaN or infinite in both"


def _unseen(first: Comparison, results: Findings) -> Iterator[str]:
    exported = first.step.model
    if exported is None:
        yield f"the layers that {first.step.by} runs cannot be seen: only outputs are compared"
        return
    yield "PyTorch's layers are not compared. Whether the export or ONNX Runtime is at fault, a second runtime tells:"
    yield f"  python -m runner.debug --onnx {exported.path} --runtime=reference --input={results.inputs}"


def _layers(layers_found: LayersFound) -> Iterator[str]:
    layers, comparison = layers_found.layers, layers_found.comparison
    renamed = f" ({len(layers.renamed)} of them renamed by a fusion, so matched by value)" if layers.renamed else ""
    yield (
        f"layers of {comparison.step.name} against {comparison.before.name}: {len(layers.compared)} tensors compared"
        f"{renamed}, {len(layers.missing)} without a counterpart, {len(layers.diverging)} diverge"
    )
    if layers.first is None:
        if comparison.diverges:
            yield "  no layer diverges, though an output does: what has no counterpart must be at fault"
        return
    if not layers.passed_on:
        yield "  what diverges makes nothing else diverge: a fusion may have renamed it, or what follows masks it"
    yield from (f"  {line}" for line in _divergence(layers.first))
    if layers_found.command:
        yield f"  replay: {layers_found.command}"


def _divergence(divergence: Divergence) -> Iterator[str]:
    node, other = divergence.node, divergence.other_node
    twin = "" if (other.name, other.op) == (node.name, node.op) else f"; in the second model {other.name} ({other.op})"
    yield from _first(divergence, twin, "that the other model lacks")
    if divergence.alone is None:
        yield f"  it cannot be run alone: {divergence.alone_fails}"
    elif divergence.diverges_alone:
        yield f"  alone, on the same inputs: {_close(divergence.alone)}"
    else:
        yield f"  alone, on the same inputs, it agrees: {_close(divergence.alone)}"
        yield "  so differences add up over many nodes; a larger --rtol shows whether one stands out"
    for difference in divergence.differences:
        yield f"  {difference}"
    if divergence.swallowed:
        swallowed = first_few(divergence.swallowed, MOST_NAMES)
        yield f"  the second model's node may have taken in what is missing there: {swallowed}"


def _close(close: Closeness) -> str:
    if close.incomparable:
        return close.incomparable
    return f"max abs {close.max_abs:.3g}, largest value {close.largest:.3g}, cosine {close.cosine:.8f}"

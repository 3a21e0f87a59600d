"""What a person reads of the findings, on standard output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from runner.debug.closeness import Closeness, Limit
from runner.debug.findings import Comparison, Findings, LayersFound
from runner.debug.layers import Parting
from runner.debug.steps import Step

NAMES_TOLD = 8
"""How many names of a longer list are told."""


def findings(found: Findings, report: Path) -> None:
    """The table of the steps, the first that parts, and the first node that does."""
    console = Console(highlight=False, soft_wrap=True)
    steps = list(_steps(found))
    width = max((len(step.name) for step in steps), default=0)
    for step in steps:
        console.print(f"{step.name:<{width}}  {step.by}", markup=False)
    console.print(_table(found))
    for line in _lines(found, report):
        console.print(line, markup=False)


def _table(found: Findings) -> Table:
    title = f"{escape(found.title)}: each step against the one before it"
    table = Table(title=title, title_justify="left")
    for name in ("step", "output"):
        table.add_column(name, overflow="fold")
    for name in ("cosine", "max abs", "max rel", "top-1"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for comparison in found.comparisons:
        for output, close in comparison.outputs.items():
            table.add_row(*map(escape, _row(comparison, output, close)), _verdict(comparison.step.limit, close))
    return table


def _steps(found: Findings) -> Iterator[Step]:
    yield from (each.before for each in found.comparisons[:1])
    yield from (each.step for each in found.comparisons)


def _row(comparison: Comparison, output: str, close: Closeness) -> tuple[str, ...]:
    if close.incomparable:
        return comparison.step.name, output, "-", "-", "-", "-"
    top1 = "" if close.top1_agreement is None else f"{close.top1_agreement:.0f} %"
    figures = f"{close.cosine:.8f}", f"{close.max_abs:.2e}", f"{close.max_rel:.2e}", top1
    return comparison.step.name, output, *figures


def _verdict(limit: Limit, close: Closeness) -> str:
    return "[green]agrees[/]" if limit.holds(close) else "[red]parts[/]"


def _lines(found: Findings, report: Path) -> Iterator[str]:
    for comparison in found.comparisons:
        yield from _notes(comparison)
    if found.error:
        yield f"ended early: {found.error}"
    first = found.first_parting
    if first:
        yield f"the first step that parts: {first.step.name}, from {first.before.name} (limit: {first.step.limit})"
    elif not found.error:
        yield f"no output parts ({'; '.join(dict.fromkeys(str(each.step.limit) for each in found.comparisons))})"
    for each in found.layers:
        yield from _layers(each)
    if first and not any(each.comparison is first for each in found.layers):
        yield from _unseen(first, found)
    yield f"report: {report}"


def _notes(comparison: Comparison) -> Iterator[str]:
    for output, close in comparison.outputs.items():
        if close.incomparable:
            yield f"{comparison.step.name}, output {output}: {close.incomparable}"
        elif close.not_finite:
            yield f"{comparison.step.name}, output {output}: {close.not_finite} values are NaN or infinite in both"


def _unseen(first: Comparison, found: Findings) -> Iterator[str]:
    exported = first.step.model
    if exported is None:
        yield f"the layers that {first.step.by} runs cannot be seen: only outputs are compared"
        return
    yield "PyTorch's layers are not compared. Whether the export or ONNX Runtime is at fault, a second runtime tells:"
    yield f"  python -m runner.debug --onnx {exported.path} --runtime=reference --input={found.inputs}"


def _layers(found: LayersFound) -> Iterator[str]:
    seen, comparison = found.layers, found.comparison
    renamed = f" ({len(seen.renamed)} of them renamed by a fusion, so matched by value)" if seen.renamed else ""
    yield (
        f"layers of {comparison.step.name} against {comparison.before.name}: {len(seen.compared)} tensors compared"
        f"{renamed}, {len(seen.missing)} without a counterpart, {len(seen.parting)} part"
    )
    if seen.first is None:
        if comparison.parts:
            yield "  no layer parts, though an output does: what has no counterpart must be at fault"
        return
    if not seen.passed_on:
        yield "  what parts makes nothing else part: a fusion may have renamed it, or what follows masks it"
    yield from (f"  {line}" for line in _parting(seen.first))
    if found.command:
        yield f"  replay: {found.command}"


def _parting(parting: Parting) -> Iterator[str]:
    node, other = parting.node, parting.other_node
    twin = "" if (other.name, other.op) == (node.name, node.op) else f"; in the second model {other.name} ({other.op})"
    yield f"first node that parts: {node.name} ({node.op}){twin}"
    if len(parting.between) > 1:
        yield f"  or one before it that the other model lacks: {_told(parting.between[:-1])}"
    for name, close in parting.inputs.items():
        yield f"  input {name}: {_close(close)}"
    yield f"  output {parting.tensor}: {_close(parting.output)}"
    if parting.alone is None:
        yield f"  it cannot be run alone: {parting.alone_fails}"
    elif parting.alone_parts:
        yield f"  alone, on the same inputs: {_close(parting.alone)}"
    else:
        yield f"  alone, on the same inputs, it agrees: {_close(parting.alone)}"
        yield "  so differences add up over many nodes; a larger --rtol shows whether one stands out"
    for difference in parting.differences:
        yield f"  {difference}"
    if parting.swallowed:
        yield f"  the second model's node may have taken in what is missing there: {_told(parting.swallowed)}"


def _close(close: Closeness) -> str:
    if close.incomparable:
        return close.incomparable
    return f"max abs {close.max_abs:.3g}, largest value {close.largest:.3g}, cosine {close.cosine:.8f}"


def _told(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else ""
    return ", ".join(names[:NAMES_TOLD]) + more

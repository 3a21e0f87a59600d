"""What the footnotes of a report's tables say of a run's figures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runner.results import Gate, Meaning, Result, gates, values


class Footnotes:
    """Unique footnotes in the order of first use."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def indices(self, notes: Iterable[str]) -> tuple[int, ...]:
        indices = []
        for note in notes:
            if note not in self.texts:
                self.texts.append(note)
            indices.append(self.texts.index(note))
        return tuple(indices)


def substitutes(run: Result) -> list[str]:
    """Say what a run used in the place of published weights and of the real data set; empty if nothing."""
    return [*(["random weights"] if run.weights_origin == "random" else []), *([run.stand_in] if run.stand_in else [])]


def accuracy_notes(run: Result) -> Iterator[str]:
    """Say why accuracies are not compared with published ones, and which gates of theirs failed."""
    skipped = [gate.reason for gate in run.gates if gate.name.split(".")[0] == "accuracy" and gate.verdict == "skip"]
    parts = (part for reason in skipped for part in reason.split("; "))
    reasons = dict.fromkeys(filter(None, [*substitutes(run), *parts]))
    if list(reasons) == [gates.NOT_PUBLISHED]:
        yield gates.NOT_PUBLISHED
    elif reasons:
        yield f"not compared with what is published: {'; '.join(reasons)}"
    if run.limit is not None:
        yield f"run with limit={run.limit}"
    yield from (_failed_in_words(run, gate) for gate in run.failed_gates if not gate.name.startswith("throughput"))


def subset_notes(run: Result, name: str, unit: str) -> Iterator[str]:
    """Say on how many samples the reference's metric was computed, where these are not all."""
    if run.fidelity and name in run.fidelity.accuracy and run.fidelity.samples != (run.accuracy or {}).get("samples"):
        own = values.with_unit(run.fidelity.tool_accuracy.get(name), Meaning(unit))
        yield f"on {run.fidelity.samples} samples, of which the tool's outputs give {name} {own}"


def elsewhere_notes(run: Result, gate_name: str) -> Iterator[str]:
    """Say for which SoC and batch size a figure was published, where the run has another."""
    gate = expected_gate(run, gate_name)
    if gate.expected_for:
        yield f"published for {gate.expected_for}"


def performance_notes(run: Result) -> Iterator[str]:
    """Say what a throughput was measured with, why it does not count, and which gates of it failed."""
    if run.performance and run.performance.gears:
        yield f"one compiled model serves {', '.join(run.performance.gears)}"
    if run.includes_copies:
        yield "latencies include the copies between host and device, unlike published ones"
    if run.performance and not run.performance.valid:
        yield f"not a valid measurement: {'; '.join(run.performance.reasons) or 'no reason is given'}"
    if run.performance and run.weights_origin == "random" and not run.figures:
        yield "measured with random weights"
    yield from (_failed_in_words(run, gate) for gate in run.failed_gates if gate.name.startswith("throughput"))


def _failed_in_words(run: Result, gate: Gate) -> str:
    return f"gate failed: {values.of_gate(gate, run.meaning_of(gate))}"


def expected_gate(run: Result, gate_name: str) -> Gate:
    """Return the gate of a name; one without numbers if the run has none."""
    return next((gate for gate in run.gates if gate.name == gate_name), Gate(name=gate_name, verdict="skip"))

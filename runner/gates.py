"""Verdicts: measured numbers against what is expected of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from runner.artifacts import Fidelity

Verdict = Literal["pass", "fail", "skip"]


@dataclass(frozen=True)
class Gate:
    name: str
    measured: float | None
    expected: float | None
    tolerance: float | None
    verdict: Verdict
    reason: str
    source: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class PublishedAccuracy:
    """Published figures by metric name, and the table and row they come from."""

    accuracy: dict[str, float]
    source: str


def accuracy_gates(
    measured: dict[str, float],
    published: PublishedAccuracy | None,
    tolerance: float,
    stand_in: Sequence[str],
    note: str,
) -> list[Gate]:
    """One gate a published metric: within `tolerance` points of it or better.

    Skipped for each reason in `stand_in` (random weights, data made up), and where nothing is published. `note` is
    added to the reason of a gate that counts.
    """
    if published is None or not published.accuracy:
        reasons = [*stand_in, "no published accuracy for this model"]
        return [Gate("accuracy", None, None, None, "skip", "; ".join(reasons), "")]
    gates = []
    for name, expected in published.accuracy.items():
        value = measured.get(name)
        verdict: Verdict
        if stand_in or value is None:
            verdict, reason = "skip", "; ".join(stand_in) or f"the data set does not measure {name}"
        else:
            verdict = "pass" if value >= expected - tolerance else "fail"
            reason = note
        gates.append(Gate(f"accuracy.{name}", value, expected, tolerance, verdict, reason, published.source))
    return gates


def fidelity_gates(
    fidelity: dict[str, Fidelity], cosine: float, top1_agreement: float | None, source: str
) -> list[Gate]:
    """Every output's cosine, and its agreement of argmax where one is asked for, at least what the model demands.

    The agreement may fall short by one sample, or any disagreement would fail a run over a few.
    """
    gates = []
    for name, measured in fidelity.items():
        gates.append(_at_least(f"fidelity.{name}.cosine", measured.cosine, cosine, 0.0, source))
        if top1_agreement is not None and measured.top1_agreement is not None:
            one_sample = 100.0 / measured.samples
            gates.append(
                _at_least(
                    f"fidelity.{name}.top1_agreement", measured.top1_agreement, top1_agreement, one_sample, source
                )
            )
    return gates


def _at_least(name: str, measured: float, expected: float, tolerance: float, source: str) -> Gate:
    # A NaN compares false, so it fails.
    verdict: Verdict = "pass" if measured >= expected - tolerance else "fail"
    return Gate(name, measured, expected, tolerance, verdict, "", source)

"""Verdicts: measured numbers against what is expected of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from runner.artifacts import Fidelity, Scores

Verdict = Literal["pass", "fail", "skip"]
NO_PERCENTAGES = ("mean_abs", "cosine")
LOWER_IS_BETTER = ("mean_abs",)
FOURTH_DECIMAL = 1e-4
"""What metrics that are no percentage may fall short by: the DCGAN guide publishes them with four decimals."""


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
class Published:
    """Published figures: accuracies by metric name, samples a second, and the table and row they come from."""

    accuracy: dict[str, float]
    samples_per_second: float | None
    source: str


def accuracy_gates(
    scores: Scores, published: Published | None, tolerance: float, stand_in: Sequence[str], note: str
) -> list[Gate]:
    """One gate a published metric: within `tolerance` points of it, or two standard errors of few samples, or better.

    Skipped for each reason in `stand_in` (random weights, data made up), and where nothing is published. `note` is
    added to the reason of a gate that counts.
    """
    if published is None or not published.accuracy:
        reasons = [*stand_in, "no published accuracy for this model"]
        return [Gate("accuracy", None, None, None, "skip", "; ".join(reasons), "")]
    return [
        _accuracy_gate(name, expected, scores, published.source, tolerance, stand_in, note)
        for name, expected in published.accuracy.items()
    ]


def _accuracy_gate(
    name: str, expected: float, scores: Scores, source: str, tolerance: float, stand_in: Sequence[str], note: str
) -> Gate:
    value = scores.accuracy.get(name)
    allowed, few = _allowed(name, expected, scores.samples, tolerance)
    if stand_in or value is None:
        reason = "; ".join(stand_in) or f"the data set does not measure {name}"
        return Gate(f"accuracy.{name}", value, expected, allowed, "skip", reason, source)
    # Both compare false with NaN, so it fails.
    good = value <= expected + allowed if name in LOWER_IS_BETTER else value >= expected - allowed
    reason = "; ".join(filter(None, [note, few]))
    return Gate(f"accuracy.{name}", value, expected, allowed, "pass" if good else "fail", reason, source)


def _allowed(name: str, expected: float, samples: int, tolerance: float) -> tuple[float, str]:
    """How far a metric may fall short, and why that is more than was asked for."""
    if name in NO_PERCENTAGES:
        return FOURTH_DECIMAL, ""
    error = 2.0 * standard_error(expected, samples)
    return (error, f"two standard errors of {samples} samples") if error > tolerance else (tolerance, "")


def standard_error(percent: float, samples: int) -> float:
    """Of a share measured on `samples` samples, in percentage points: 100 * sqrt(p (1 - p) / n), binomial."""
    share = min(max(percent / 100.0, 0.0), 1.0)
    return 100.0 * math.sqrt(share * (1.0 - share) / samples)


def throughput_gates(
    measured: float, valid: bool, published: Published | None, enforced: bool, tolerance: float
) -> list[Gate]:
    """Samples a second against the published row of the same SoC and batch size; only reported unless `enforced`."""
    if published is None or published.samples_per_second is None:
        return []
    expected = published.samples_per_second
    allowed = expected * tolerance / 100.0
    verdict: Verdict
    if not enforced:
        verdict, reason = "skip", "reported only; gates.throughput.enabled=true makes it a gate"
    elif not valid:
        verdict, reason = "fail", "the measurement is not valid"
    else:
        verdict, reason = "pass" if measured >= expected - allowed else "fail", ""
    return [Gate("throughput", measured, expected, allowed, verdict, reason, published.source)]


def batch_invariance_gates(compared: dict[str, Fidelity] | None, other_batch: int | None, cosine: float) -> list[Gate]:
    """Every output's cosine to the same samples' at another batch size; skipped where no other one has been run."""
    if compared is None:
        reason = "no other batch size has been run on these samples; -m batch=1,N compares"
        return [Gate("batch_invariance", None, cosine, 0.0, "skip", reason, "")]
    source = f"the same samples at batch {other_batch}"
    return [
        _at_least(f"batch_invariance.{name}", measured.cosine, cosine, 0.0, source)
        for name, measured in compared.items()
    ]


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

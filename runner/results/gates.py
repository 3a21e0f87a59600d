"""Gates: compare measured numbers with expected ones. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from runner.core import BatchComparison, Fidelity, Figure, Scores

Verdict = Literal["pass", "fail", "skip"]
NOT_PUBLISHED = "no published accuracy for this model"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A measured value, the expected one, and the verdict; `source` is where the expected value is from.

    `expected_for` names the SoC and batch size that the expected value was published for, where the run has another.
    """

    name: str
    measured: float | None = None
    expected: float | None = None
    tolerance: float | None = None
    verdict: Verdict
    reason: str = ""
    source: str = ""
    expected_for: str = ""


@dataclass(frozen=True)
class Published:
    """Published figures: accuracies by metric name, samples per second, and their source (table and row).

    `measured_on` names their SoC and batch size where those are not the run's; `misprint` says why the figures are
    evidently misprinted.
    """

    accuracy: dict[str, float]
    samples_per_second: float | None
    source: str
    measured_on: str = ""
    misprint: str | None = None


def accuracy_gates(
    scores: Scores,
    published: Published | None,
    tolerance: float,
    substitutes: Sequence[str],
    note: str,
    limit: int | None = None,
) -> list[Gate]:
    """Return a gate for each published metric, which must be reached within an allowed shortfall.

    Allowed are `tolerance` percentage points, or two standard errors if these are larger for few samples; metrics that
    are not in percent declare their own tolerance. Gates are skipped for the reasons in `substitutes` (random weights,
    generated data), and if nothing is published. With a `limit` of samples only shares of samples are judged, whose
    standard error is known. `note` is added to the reason of a gate that is not skipped.
    """
    if published is None or not published.accuracy:
        reason = "; ".join([*substitutes, NOT_PUBLISHED])
        return [Gate(name="accuracy", verdict="skip", reason=reason)]
    gates = []
    for name, expected in published.accuracy.items():
        value, figure = scores.accuracy.get(name), scores.figures.get(name, Figure())
        allowed, few = _allowed(figure, expected, scores.samples, tolerance)
        skipped = "; ".join(substitutes) or _why_not_judged(name, value, figure, limit)
        gates.append(
            Gate(
                name=f"accuracy.{name}",
                measured=value,
                expected=expected,
                expected_for=published.measured_on,
                tolerance=None if value is None else allowed,
                verdict="skip" if skipped or value is None else _reached(value, expected, allowed, figure),
                reason=skipped or "; ".join(filter(None, [note, few])),
                source=published.source,
            )
        )
    return gates


def _why_not_judged(name: str, value: float | None, figure: Figure, limit: int | None) -> str:
    if value is None:
        return f"the data set does not measure {name}"
    if figure.better is None:
        return f"{name} does not say which way is better"
    if limit is not None and not figure.is_share:
        return f"limit={limit}: {name} of a part of the data set says little of the whole"
    return ""


def _reached(value: float, expected: float, allowed: float, figure: Figure) -> Verdict:
    # Both compare false with NaN, so it fails.
    good = value <= expected + allowed if figure.better == "lower" else value >= expected - allowed
    return "pass" if good else "fail"


def _allowed(figure: Figure, expected: float, samples: int, tolerance: float) -> tuple[float, str]:
    """Return the allowed shortfall of a metric, and why it is larger than the configured tolerance."""
    if figure.unit != "percent":
        return figure.tolerance, ""
    error = 2.0 * standard_error(expected, samples) if figure.is_share else 0.0
    return (error, f"two standard errors of {samples} samples") if error > tolerance else (tolerance, "")


def standard_error(percent: float, samples: int) -> float:
    """Return the binomial standard error of a share of n samples, in percentage points: 100 * sqrt(p (1 - p) / n)."""
    share = min(max(percent / 100.0, 0.0), 1.0)
    return 100.0 * math.sqrt(share * (1.0 - share) / samples)


def throughput_gates(
    measured: float, valid: bool, published: Published | None, enforced: bool, tolerance: float
) -> list[Gate]:
    """Compare samples per second with the published row of the same SoC and batch; only fails if `enforced`."""
    if published is None or published.samples_per_second is None:
        return []
    expected = published.samples_per_second
    allowed = expected * tolerance / 100.0
    verdict: Verdict
    if published.misprint:
        verdict, reason = "skip", f"the published figure is a misprint: {published.misprint}"
    elif not enforced:
        verdict, reason = "skip", "reported only; gates.throughput.enabled=true makes it a gate"
    elif not valid:
        verdict, reason = "fail", "the measurement is not valid"
    else:
        verdict, reason = "pass" if measured >= expected - allowed else "fail", ""
    return [
        Gate(
            name="throughput",
            measured=measured,
            expected=expected,
            tolerance=allowed,
            verdict=verdict,
            reason=reason,
            source=published.source,
        )
    ]


def batch_invariance_gates(
    comparison: BatchComparison | None, cosine: float, dependent: str | None = None
) -> list[Gate]:
    """Gate the cosine of each output to that at another batch size; skipped if no other batch size has been run.

    `dependent` is the declared reason why the outputs depend on the batch: then gates report and are skipped.
    """
    if comparison is None:
        reason = "no other batch size has been run on these samples; -m batch=1,N compares"
        return [Gate(name="batch_invariance", expected=cosine, tolerance=0.0, verdict="skip", reason=reason)]
    source = f"the same samples at batch {comparison.other_batch}"
    judged = [
        _at_least(f"batch_invariance.{name}", fidelity.cosine, cosine, 0.0, source)
        for name, fidelity in comparison.outputs.items()
    ]
    if dependent is None:
        return judged
    return [replace(gate, verdict="skip", reason=f"declared to depend on the batch: {dependent}") for gate in judged]


def fidelity_gates(
    fidelity: dict[str, Fidelity], cosine: float, equal: float, top1_agreement: float | None, source: str
) -> list[Gate]:
    """Gate the cosine of each output, and its argmax agreement if the model demands a minimum.

    Of an output of whole numbers, such as a label map, it is the percentage of equal elements.

    The agreement may fall short by one sample, or any disagreement would fail a run of few samples.
    """
    gates = []
    for name, measured in fidelity.items():
        if measured.equal is not None:
            gates.append(_at_least(f"fidelity.{name}.equal", measured.equal, equal, 0.0, source))
        else:
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
    return Gate(name=name, measured=measured, expected=expected, tolerance=tolerance, verdict=verdict, source=source)

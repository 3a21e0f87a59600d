"""Judge the figures of a run against those of an earlier one. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from runner.results import Meaning, Performance, Result
from runner.results.gates import standard_error

Verdict = Literal["worse", "better", "same", "not judged"]
TOLERANCES_PERCENT = {"throughput": 5.0, "mean": 5.0, "p50": 5.0, "p99": 10.0}
"""How far a figure may fall, in percent of the baseline: as far as the windows of one measurement may differ
(runner.measure.loop.AGREEMENT), and twice that for the p99, which a few calls decide."""
ACCURACY = "accuracy"
ACCURACY_POINTS = 0.5
"""How far a percentage that is no share of samples, such as an mAP, may fall: half of the point that a gate allows."""
STANDARD_ERRORS = 2.0
"""A smaller change is taken for noise: for normal errors 95 % of them are."""
FEWEST_CALLS_FOR_P99 = 299
"""With fewer calls, the chance that all of them are faster than the true p99 is above 5 %: 0.99**299 = 0.0495."""


@dataclass(frozen=True)
class Run:
    """A result, and the standard errors in ms of its mean, p50 and p99 latency, where they are known."""

    result: Result
    standard_errors_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A figure before and after: None where it is missing or NaN.

    `allowed` is how far it may fall, and `noise` two standard errors of the difference, both in the figure's `unit`;
    `noise` is None if it is unknown. `reason` says why it is not judged, or where `allowed` is from.
    """

    figure: str
    unit: str
    before: float | None
    after: float | None
    verdict: Verdict = "not judged"
    allowed: float | None = None
    noise: float | None = None
    reason: str = ""


def changes(baseline: Run, new: Run, tolerances: Mapping[str, float]) -> list[Change]:
    """Return the change of every figure that either run has, and the gates that fail and did not before.

    `tolerances` go before the defaults: `accuracy` in percentage points, the others (TOLERANCES_PERCENT) in percent.
    A change is worse or better only if it is larger than what is allowed and than its noise.
    """
    return [
        *_accuracies(baseline.result, new.result, tolerances.get(ACCURACY)),
        *_performances(baseline, new, {**TOLERANCES_PERCENT, **tolerances}),
        *_gates(baseline.result, new.result),
    ]


def _accuracies(baseline: Result, new: Result, points: float | None) -> Iterator[Change]:
    for name in dict.fromkeys([*baseline.figures, *new.figures]):
        if name not in baseline.figures or name not in new.figures:
            reason = f"only the {'new run' if name in new.figures else 'baseline'} has it"
            before, after = baseline.figures.get(name), new.figures.get(name)
            yield Change(figure=name, unit="", before=before, after=after, reason=reason)
            continue
        meaning = new.metrics.get(name) or baseline.meaning(name)
        before, after = baseline.figures[name], new.figures[name]
        allowed, reason = _allowed(meaning, (before, after), min(map(_samples, (baseline, new))), points)
        change = Change(figure=name, unit=meaning.unit, before=before, after=after, reason=reason)
        yield _judged(change, allowed, meaning.better)


def _samples(run: Result) -> int:
    count = (run.accuracy or {}).get("samples") or 0
    return int(count) if math.isfinite(count) and count > 0 else 0


def _allowed(meaning: Meaning, values: Sequence[float | None], samples: int, points: float | None) -> tuple[float, str]:
    """Return how far a metric may fall, in its unit, and why."""
    if meaning.unit != "percent":
        return meaning.tolerance, "the metric's own tolerance"
    if points is not None:
        return points, f"--tolerance {ACCURACY}"
    if meaning.is_share and samples:
        errors = [standard_error(value, samples) for value in values if value is not None]
        return STANDARD_ERRORS * max(errors, default=0.0), f"two standard errors of {samples} samples"
    return ACCURACY_POINTS, "no share of samples"


def _performances(baseline: Run, new: Run, tolerances: Mapping[str, float]) -> Iterator[Change]:
    before, after = baseline.result.performance, new.result.performance
    if before is None and after is None:
        return
    reason = _why_not_judged(before, after)
    for figure, key, unit in _PERFORMANCE_FIGURES:
        old, new_value = (_figure_of(measured, key) for measured in (before, after))
        if old is None and new_value is None:
            continue
        why = reason or (_too_few_calls(before, after) if key == "p99" else "")
        change = Change(figure=figure, unit=unit, before=old, after=new_value, reason=why or f"{tolerances[key]:g} %")
        if not why:
            change = replace(change, noise=_noise(key, baseline, new))
            allowed = abs(old or 0.0) * tolerances[key] / 100.0
            change = _judged(change, allowed, "higher" if key == "throughput" else "lower")
        yield change


_PERFORMANCE_FIGURES = (
    ("throughput", "throughput", "samples/s"),
    ("mean latency", "mean", "ms"),
    ("p50 latency", "p50", "ms"),
    ("p99 latency", "p99", "ms"),
)
"""Name, key of its tolerance, unit."""


def _figure_of(measured: Performance | None, key: str) -> float | None:
    if measured is None:
        return None
    return measured.samples_per_second if key == "throughput" else getattr(measured.latency_ms, key)


def _why_not_judged(before: Performance | None, after: Performance | None) -> str:
    if before is None or after is None:
        return f"only the {'new run' if before is None else 'baseline'} was measured"
    reasons = [
        f"the {side}'s measurement is not valid: {'; '.join(measured.reasons) or 'no reason is given'}"
        for side, measured in (("baseline", before), ("new run", after))
        if not measured.valid
    ]
    if not reasons and before.measured_at is not None and before.measured_at == after.measured_at:
        return f"both are the measurement of {before.measured_at}"
    return "; ".join(reasons)


def _too_few_calls(*measured: Performance | None) -> str:
    fewest = min((each.iterations for each in measured if each and each.iterations is not None), default=None)
    if fewest is None or fewest >= FEWEST_CALLS_FOR_P99:
        return ""
    return f"{fewest} calls; a p99 takes {FEWEST_CALLS_FOR_P99}"


def _noise(key: str, baseline: Run, new: Run) -> float | None:
    """Return two standard errors of the difference of two runs' figures, in its unit; None if it is unknown.

    A throughput is a constant over the mean latency, so both have the same relative standard error.
    """
    name = "mean" if key == "throughput" else key
    errors = []
    for run in (baseline, new):
        value, latency_ms = (_figure_of(run.result.performance, each) for each in (key, name))
        if name not in run.standard_errors_ms or not value or not latency_ms:
            return None
        errors.append(run.standard_errors_ms[name] / latency_ms * value)
    return STANDARD_ERRORS * math.hypot(*errors)


def _gates(baseline: Result, new: Result) -> Iterator[Change]:
    before = {gate.name: gate for gate in baseline.gates}
    for gate in new.failed_gates:
        earlier = before.get(gate.name)
        if earlier and earlier.verdict == "fail":
            continue
        was = f"it {_PAST[earlier.verdict]} before" if earlier else "it is not in the baseline"
        yield Change(
            figure=f"gate {gate.name}",
            unit="",
            before=earlier.measured if earlier else None,
            after=gate.measured,
            verdict="worse",
            reason=f"the gate fails; {was}",
        )


_PAST = {"pass": "passed", "skip": "was skipped"}


def _judged(change: Change, allowed: float, better: Literal["higher", "lower"] | None) -> Change:
    """Return a change with its verdict, or with the reason why it has none."""
    before, after = change.before, change.after
    if before is None:
        without = "neither has a number" if after is None else "the baseline has no number"
        return replace(change, noise=None, reason=without)
    if better is None:
        return replace(change, noise=None, reason="it does not say which way is better")
    if after is None:
        return replace(change, verdict="worse", allowed=allowed, reason="the new run has no number")
    fall = before - after if better == "higher" else after - before
    certain = max(allowed, change.noise or 0.0)
    verdict: Verdict = "worse" if fall > certain else "better" if fall < -certain else "same"
    return replace(change, verdict=verdict, allowed=allowed)

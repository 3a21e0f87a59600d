from typing import Any

import pytest

from runner.compare.judging import Change, Run, changes
from runner.results import Gate, Latency, Meaning, Performance, Result

SHARE = Meaning("percent", "higher", is_share=True)


def result(**fields: Any) -> Result:
    return Result(status="ok", model="dqn", soc="cpu", tool="onnxruntime", batch=1, **fields)


def scored(value: float | None, meaning: Meaning = SHARE, samples: int = 10000) -> Run:
    return Run(result(accuracy={"metric": value, "samples": samples}, metrics={"metric": meaning}))


def measured(mean_ms: float, error_ms: float | None = 0.0, **fields: Any) -> Run:
    latency = Latency(mean=mean_ms, p50=mean_ms, p99=mean_ms)
    performance = Performance(samples_per_second=1000.0 / mean_ms, latency_ms=latency, iterations=1000)
    errors = {} if error_ms is None else dict.fromkeys(("mean", "p50", "p99"), error_ms)
    return Run(result(performance=Performance(**(vars(performance) | fields))), errors)


def the_change(before: Run, after: Run, figure: str = "metric", **tolerances: float) -> Change:
    return next(change for change in changes(before, after, tolerances) if change.figure == figure)


def verdict(before: Run, after: Run, figure: str = "metric", **tolerances: float) -> str:
    return the_change(before, after, figure, **tolerances).verdict


def test_a_share_may_fall_by_two_standard_errors_of_its_samples() -> None:
    # 2 * 100 * sqrt(0.9850 * 0.0150 / 10000) = 0.243 percentage points, of the value nearer to a half
    change = the_change(scored(99.07), scored(98.5))
    assert (change.verdict, change.reason) == ("worse", "two standard errors of 10000 samples")
    assert change.allowed == pytest.approx(0.2431, abs=1e-4)
    assert verdict(scored(99.07), scored(98.9)) == "same"
    assert verdict(scored(99.07, samples=100), scored(98.5, samples=100)) == "same"
    assert verdict(scored(98.5), scored(99.07)) == "better"


def test_a_share_of_100_percent_has_noise_too() -> None:
    assert verdict(scored(100.0, samples=20), scored(95.0, samples=20)) == "same"
    assert verdict(scored(100.0, samples=20), scored(70.0, samples=20)) == "worse"


def test_a_percentage_that_is_no_share_may_fall_by_half_a_point() -> None:
    mean_average_precision = Meaning("percent", "higher")
    assert verdict(scored(33.5, mean_average_precision), scored(33.1, mean_average_precision)) == "same"
    assert verdict(scored(33.5, mean_average_precision), scored(32.9, mean_average_precision)) == "worse"


def test_other_metrics_may_fall_by_their_own_tolerance() -> None:
    psnr = Meaning("dB", "higher", tolerance=0.05)
    assert verdict(scored(32.00, psnr), scored(31.96, psnr)) == "same"
    assert verdict(scored(32.00, psnr), scored(31.94, psnr)) == "worse"


def test_a_metric_whose_lower_values_are_better_falls_by_rising() -> None:
    error_rate = Meaning("percent", "lower")
    assert verdict(scored(2.0, error_rate), scored(3.0, error_rate)) == "worse"
    assert verdict(scored(3.0, error_rate), scored(2.0, error_rate)) == "better"


def test_the_tolerance_of_accuracy_can_be_given_in_points() -> None:
    assert verdict(scored(99.07), scored(98.5), accuracy=1.0) == "same"
    assert verdict(scored(99.07), scored(99.0), accuracy=0.05) == "worse"


def test_an_accuracy_that_became_nan_is_worse() -> None:
    assert verdict(scored(99.0), scored(None)) == "worse"


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (scored(None), scored(99.0), "the baseline has no number"),
        (scored(99.0, Meaning()), scored(98.0, Meaning()), "it does not say which way is better"),
        (Run(result()), scored(98.0), "only the new run has it"),
        (scored(98.0), Run(result()), "only the baseline has it"),
    ],
)
def test_what_cannot_be_judged_says_why(before: Run, after: Run, reason: str) -> None:
    change = the_change(before, after)
    assert (change.verdict, change.reason) == ("not judged", reason)


def test_a_throughput_may_fall_by_5_percent() -> None:
    assert verdict(measured(1.0), measured(1.04), "throughput") == "same"
    assert verdict(measured(1.0), measured(2.0), "throughput") == "worse"
    assert verdict(measured(2.0), measured(1.0), "throughput") == "better"
    assert verdict(measured(1.0), measured(1.2), "throughput", throughput=20.0) == "same"


def test_a_latency_may_rise_by_5_percent_and_the_p99_by_10() -> None:
    found = {change.figure: change.verdict for change in changes(measured(1.0), measured(1.08), {})}
    assert found == {"throughput": "worse", "mean latency": "worse", "p50 latency": "worse", "p99 latency": "same"}


def test_a_change_within_its_noise_is_none() -> None:
    # noise: 2 * sqrt(0.05**2 + 0.05**2) = 0.14 ms
    change = the_change(measured(1.0, 0.05), measured(1.1, 0.05), "mean latency")
    assert change.verdict == "same"
    assert change.noise == pytest.approx(0.1414, abs=1e-4)
    assert verdict(measured(1.0, 0.05), measured(1.2, 0.05), "mean latency") == "worse"


def test_a_throughput_is_as_noisy_as_its_mean_latency() -> None:
    change = the_change(measured(1.0, 0.02), measured(2.0, 0.0), "throughput")
    assert change.noise == pytest.approx(2 * 0.02 * 1000.0)


def test_without_raw_latencies_the_tolerance_alone_counts() -> None:
    change = the_change(measured(1.0, None), measured(2.0, None), "throughput")
    assert (change.verdict, change.noise) == ("worse", None)


def test_a_measurement_that_is_not_valid_is_not_judged() -> None:
    busy = measured(2.0, valid=False, reasons=("device busy",))
    change = the_change(measured(1.0), busy, "throughput")
    assert (change.verdict, change.reason) == ("not judged", "the new run's measurement is not valid: device busy")


def test_a_reused_measurement_is_not_judged_against_itself() -> None:
    once = measured(1.0, measured_at="2026-11-21T11:39:00+00:00")
    change = the_change(once, once, "throughput")
    assert (change.verdict, change.reason) == ("not judged", "both are the measurement of 2026-11-21T11:39:00+00:00")


def test_a_p99_of_few_calls_is_not_judged() -> None:
    few = measured(2.0, iterations=30)
    change = the_change(measured(1.0), few, "p99 latency")
    assert (change.verdict, change.reason) == ("not judged", "30 calls; a p99 takes 299")


def test_a_run_that_was_not_measured_is_not_judged() -> None:
    assert verdict(measured(1.0), Run(result()), "throughput") == "not judged"


@pytest.mark.parametrize(
    ("earlier", "reason"),
    [
        ((Gate(name="fidelity.x.cosine", verdict="pass"),), "the gate fails; it passed before"),
        ((Gate(name="fidelity.x.cosine", verdict="skip"),), "the gate fails; it was skipped before"),
        ((), "the gate fails; it is not in the baseline"),
    ],
)
def test_a_gate_that_fails_and_did_not_before_is_worse(earlier: tuple[Gate, ...], reason: str) -> None:
    failing = Run(result(gates=(Gate(name="fidelity.x.cosine", verdict="fail", measured=0.5),)))
    (change,) = changes(Run(result(gates=earlier)), failing, {})
    assert (change.figure, change.verdict, change.reason) == ("gate fidelity.x.cosine", "worse", reason)


def test_a_gate_that_failed_before_is_no_fall() -> None:
    failing = Run(result(gates=(Gate(name="fidelity.x.cosine", verdict="fail", measured=0.5),)))
    assert changes(failing, failing, {}) == []

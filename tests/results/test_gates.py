import math

import pytest

from runner.core import BatchComparison, Fidelity, Figure, Scores
from runner.results import gates
from runner.results.gates import Published
from runner.tasks.classification.metrics import top_k
from runner.tasks.similarity import cosine as cosine_of_samples
from runner.tasks.similarity import mean_absolute_difference

PUBLISHED = Published({"top1": 79.42}, 1000.0, "a table, row 1")
LOWER = Figure(better="lower")


def scores(top1: float, samples: int = 50000) -> Scores:
    return measured("top1", top1, top_k.figure, samples)


def measured(name: str, value: float, figure: Figure, samples: int = 8192) -> Scores:
    """Scores of one metric."""
    return Scores(accuracy={name: value}, figures={name: figure}, samples=samples, fidelity={})


def test_an_accuracy_within_tolerance_passes_with_its_source() -> None:
    (gate,) = gates.accuracy_gates(scores(78.5), PUBLISHED, 1.0, [], "")
    assert (gate.verdict, gate.expected, gate.source) == ("pass", 79.42, "a table, row 1")


def test_an_accuracy_below_tolerance_fails() -> None:
    (gate,) = gates.accuracy_gates(scores(78.4), PUBLISHED, 1.0, [], "")
    assert gate.verdict == "fail"


def test_an_accuracy_of_zero_is_a_value_and_fails() -> None:
    (gate,) = gates.accuracy_gates(scores(0.0), PUBLISHED, 1.0, [], "")
    assert (gate.measured, gate.verdict) == (0.0, "fail")


def test_nan_never_passes() -> None:
    (gate,) = gates.accuracy_gates(scores(math.nan), PUBLISHED, 1.0, [], "")
    assert gate.verdict == "fail"


def test_substitutes_skip_the_gate_and_are_all_named() -> None:
    (gate,) = gates.accuracy_gates(scores(1.0), PUBLISHED, 1.0, ["random weights", "synthetic pictures"], "")
    assert (gate.verdict, gate.reason) == ("skip", "random weights; synthetic pictures")


def test_nothing_published_skips_the_gate() -> None:
    (gate,) = gates.accuracy_gates(scores(1.0), None, 1.0, [], "")
    assert (gate.verdict, gate.reason) == ("skip", "no published accuracy for this model")


def fidelity(**values: float | None) -> dict[str, Fidelity]:
    return {
        "out": Fidelity(
            **{"samples": 2, "top1_agreement": 100.0, "cosine": 1.0, "max_abs": 0.0, "mean_abs": 0.0} | values
        )
    }


def test_fidelity_at_its_thresholds_passes() -> None:
    found = gates.fidelity_gates(fidelity(cosine=0.999, top1_agreement=98.0), 0.999, 99.0, 98.0, "x")
    assert [gate.verdict for gate in found] == ["pass", "pass"]


def test_fidelity_below_a_threshold_fails_that_gate() -> None:
    found = gates.fidelity_gates(fidelity(cosine=0.9), 0.999, 99.0, 98.0, "x")
    assert {gate.name: gate.verdict for gate in found} == {
        "fidelity.out.cosine": "fail",
        "fidelity.out.top1_agreement": "pass",
    }


def test_a_cosine_that_is_not_a_number_fails() -> None:
    assert gates.fidelity_gates(fidelity(cosine=math.nan), 0.999, 99.0, None, "x")[0].verdict == "fail"


def test_one_sample_of_few_may_disagree() -> None:
    found = gates.fidelity_gates(fidelity(samples=16, top1_agreement=93.75), 0.999, 99.0, 98.0, "x")
    assert (found[1].verdict, found[1].tolerance) == ("pass", 6.25)


def test_two_samples_of_few_may_not() -> None:
    assert gates.fidelity_gates(fidelity(samples=16, top1_agreement=87.5), 0.999, 99.0, 98.0, "x")[1].verdict == "fail"


def test_an_output_of_whole_numbers_is_held_to_the_share_of_equal_ones() -> None:
    (gate,) = gates.fidelity_gates(fidelity(cosine=0.5, equal=99.2, top1_agreement=None), 0.999, 99.0, 98.0, "x")
    assert (gate.name, gate.measured, gate.expected, gate.verdict) == ("fidelity.out.equal", 99.2, 99.0, "pass")


@pytest.mark.parametrize("equal", [98.9, math.nan])
def test_too_few_equal_whole_numbers_fail(equal: float) -> None:
    (gate,) = gates.fidelity_gates(fidelity(equal=equal, top1_agreement=None), 0.999, 99.0, None, "x")
    assert gate.verdict == "fail"


def test_few_samples_widen_the_tolerance_to_two_standard_errors() -> None:
    (gate,) = gates.accuracy_gates(scores(72.0, 100), PUBLISHED, 1.0, [], "")
    assert gate.tolerance == pytest.approx(2 * 4.0427, abs=1e-3)
    assert (gate.verdict, gate.reason) == ("pass", "two standard errors of 100 samples")


def test_many_samples_keep_the_tolerance() -> None:
    assert gates.accuracy_gates(scores(79.0), PUBLISHED, 1.0, [], "")[0].tolerance == 1.0


def test_the_standard_error_is_the_binomial_one() -> None:
    assert gates.standard_error(80.0, 50000) == pytest.approx(0.179, abs=1e-3)
    assert gates.standard_error(100.0, 10) == 0.0


def test_throughput_is_reported_and_no_gate_unless_asked() -> None:
    (gate,) = gates.throughput_gates(500.0, True, PUBLISHED, False, 10.0)
    assert (gate.verdict, gate.measured, gate.expected) == ("skip", 500.0, 1000.0)


@pytest.mark.parametrize(("measured", "verdict"), [(900.0, "pass"), (899.0, "fail"), (math.nan, "fail")])
def test_throughput_is_a_gate_where_asked(measured: float, verdict: str) -> None:
    assert gates.throughput_gates(measured, True, PUBLISHED, True, 10.0)[0].verdict == verdict


def test_a_measurement_that_is_not_valid_passes_no_gate() -> None:
    assert gates.throughput_gates(2000.0, False, PUBLISHED, True, 10.0)[0].verdict == "fail"


def test_without_a_published_throughput_there_is_no_gate() -> None:
    assert gates.throughput_gates(1.0, True, None, True, 10.0) == []


def test_the_same_answers_at_another_batch_size_pass() -> None:
    (gate,) = gates.batch_invariance_gates(BatchComparison(1, fidelity(cosine=0.99999)), 0.9999)
    assert (gate.name, gate.verdict, gate.source) == ("batch_invariance.out", "pass", "the same samples at batch 1")


def test_other_answers_at_another_batch_size_fail() -> None:
    assert gates.batch_invariance_gates(BatchComparison(1, fidelity(cosine=0.99)), 0.9999)[0].verdict == "fail"


def test_answers_that_are_declared_to_depend_on_the_batch_are_reported_and_not_judged() -> None:
    (gate,) = gates.batch_invariance_gates(BatchComparison(1, fidelity(cosine=0.5)), 0.9999, "it normalises by batch")
    assert (gate.measured, gate.verdict) == (0.5, "skip")
    assert gate.reason == "declared to depend on the batch: it normalises by batch"


def test_a_first_batch_size_has_nothing_to_be_compared_with() -> None:
    assert gates.batch_invariance_gates(None, 0.9999)[0].verdict == "skip"


@pytest.mark.parametrize(
    ("mean_abs", "verdict"), [(0.0, "pass"), (0.0005, "pass"), (0.0006, "fail"), (math.nan, "fail")]
)
def test_a_difference_may_be_smaller_than_published_and_hardly_larger(mean_abs: float, verdict: str) -> None:
    published = Published({"mean_abs": 0.0004}, None, "x")
    (gate,) = gates.accuracy_gates(
        measured("mean_abs", mean_abs, mean_absolute_difference.figure), published, 1.0, [], ""
    )
    assert gate.verdict == verdict


@pytest.mark.parametrize(("cosine", "verdict"), [(1.0, "pass"), (0.9999, "pass"), (0.9998, "fail")])
def test_a_cosine_is_held_to_four_decimals(cosine: float, verdict: str) -> None:
    published = Published({"cosine": 1.0}, None, "x")
    (gate,) = gates.accuracy_gates(measured("cosine", cosine, cosine_of_samples.figure), published, 1.0, [], "")
    assert gate.verdict == verdict


RMSE = Published({"rmse": 1.0}, None, "a table, row 1")


@pytest.mark.parametrize(
    ("rmse", "verdict"),
    [(0.0, "pass"), (0.8, "pass"), (1.0, "pass"), (1.0001, "pass"), (1.0002, "fail"), (1.2, "fail")],
)
def test_an_error_fails_where_it_is_larger_than_published(rmse: float, verdict: str) -> None:
    (gate,) = gates.accuracy_gates(measured("rmse", rmse, LOWER), RMSE, 1.0, [], "")
    assert (gate.measured, gate.expected, gate.verdict) == (rmse, 1.0, verdict)


@pytest.mark.parametrize(("rmse", "verdict"), [(1.2, "pass"), (1.25, "pass"), (1.26, "fail"), (math.inf, "fail")])
def test_the_tolerance_of_an_error_is_the_metrics_own_in_its_unit(rmse: float, verdict: str) -> None:
    figure = Figure(unit="m", better="lower", tolerance=0.25)
    (gate,) = gates.accuracy_gates(measured("rmse", rmse, figure), RMSE, 100.0, [], "")
    assert (gate.tolerance, gate.verdict) == (0.25, verdict)


def test_few_samples_do_not_widen_the_tolerance_of_an_error() -> None:
    (gate,) = gates.accuracy_gates(measured("rmse", 1.2, LOWER, samples=2), RMSE, 1.0, [], "")
    assert (gate.tolerance, gate.verdict, gate.reason) == (1e-4, "fail", "")


@pytest.mark.parametrize(("error", "verdict"), [(19.0, "pass"), (21.0, "pass"), (21.1, "fail")])
def test_a_percentage_that_is_better_lower_has_the_tolerance_in_points(error: float, verdict: str) -> None:
    figure = Figure(unit="percent", better="lower", is_share=True)
    published = Published({"error": 20.0}, None, "x")
    (gate,) = gates.accuracy_gates(measured("error", error, figure, samples=50000), published, 1.0, [], "")
    assert (gate.tolerance, gate.verdict) == (1.0, verdict)


@pytest.mark.parametrize(("psnr", "verdict"), [(31.0, "pass"), (29.9, "pass"), (29.8, "fail")])
def test_a_value_in_decibels_is_better_higher_and_has_its_own_tolerance(psnr: float, verdict: str) -> None:
    figure = Figure(unit="dB", better="higher", tolerance=0.1)
    published = Published({"psnr": 30.0}, None, "x")
    (gate,) = gates.accuracy_gates(measured("psnr", psnr, figure), published, 1.0, [], "")
    assert gate.verdict == verdict


def test_a_percentage_that_is_no_share_of_samples_keeps_the_tolerance_for_few() -> None:
    figure = Figure(unit="percent", better="higher")
    (gate,) = gates.accuracy_gates(measured("top1", 79.0, figure, samples=4), PUBLISHED, 1.0, [], "")
    assert (gate.tolerance, gate.reason) == (1.0, "")


def test_a_metric_that_does_not_say_which_way_is_better_is_not_judged() -> None:
    (gate,) = gates.accuracy_gates(measured("rmse", 1.2, Figure()), RMSE, 1.0, [], "")
    assert (gate.verdict, gate.reason) == ("skip", "rmse does not say which way is better")


def test_a_metric_that_the_data_set_does_not_measure_is_not_judged() -> None:
    (gate,) = gates.accuracy_gates(scores(79.0), RMSE, 1.0, [], "")
    assert (gate.measured, gate.verdict, gate.reason) == (None, "skip", "the data set does not measure rmse")


def test_a_figure_that_was_published_for_another_batch_is_named_as_such() -> None:
    published = Published({"top1": 79.42}, None, "a table", measured_on="310P3, batch 16")
    (gate,) = gates.accuracy_gates(scores(79.42), published, 1.0, [], "")
    assert (gate.verdict, gate.expected_for) == ("pass", "310P3, batch 16")


def test_a_throughput_that_is_a_misprint_is_no_gate() -> None:
    published = Published({}, 87537.0, "a table", misprint="64 times that of batch 1")
    (gate,) = gates.throughput_gates(1400.0, True, published, enforced=True, tolerance=5.0)
    assert (gate.verdict, gate.reason) == ("skip", "the published figure is a misprint: 64 times that of batch 1")

import math

from runner import gates
from runner.artifacts import Fidelity
from runner.gates import PublishedAccuracy

PUBLISHED = PublishedAccuracy({"top1": 79.42}, "a table, row 1")


def test_an_accuracy_within_tolerance_passes_with_its_source() -> None:
    (gate,) = gates.accuracy_gates({"top1": 78.5}, PUBLISHED, 1.0, [], "")
    assert (gate.verdict, gate.expected, gate.source) == ("pass", 79.42, "a table, row 1")


def test_an_accuracy_below_tolerance_fails() -> None:
    (gate,) = gates.accuracy_gates({"top1": 78.4}, PUBLISHED, 1.0, [], "")
    assert gate.verdict == "fail"


def test_an_accuracy_of_zero_is_a_value_and_fails() -> None:
    (gate,) = gates.accuracy_gates({"top1": 0.0}, PUBLISHED, 1.0, [], "")
    assert (gate.measured, gate.verdict) == (0.0, "fail")


def test_nan_never_passes() -> None:
    (gate,) = gates.accuracy_gates({"top1": math.nan}, PUBLISHED, 1.0, [], "")
    assert gate.verdict == "fail"


def test_stand_ins_skip_the_gate_and_are_all_named() -> None:
    (gate,) = gates.accuracy_gates({"top1": 1.0}, PUBLISHED, 1.0, ["random weights", "synthetic pictures"], "")
    assert (gate.verdict, gate.reason) == ("skip", "random weights; synthetic pictures")


def test_nothing_published_skips_the_gate() -> None:
    (gate,) = gates.accuracy_gates({"top1": 1.0}, None, 1.0, [], "")
    assert (gate.verdict, gate.reason) == ("skip", "no published accuracy for this model")


def fidelity(**values: float) -> dict[str, Fidelity]:
    return {
        "out": Fidelity(
            **{"samples": 2, "top1_agreement": 100.0, "cosine": 1.0, "max_abs": 0.0, "mean_abs": 0.0} | values
        )
    }


def test_fidelity_at_its_thresholds_passes() -> None:
    found = gates.fidelity_gates(fidelity(cosine=0.999, top1_agreement=98.0), 0.999, 98.0, "x")
    assert [gate.verdict for gate in found] == ["pass", "pass"]


def test_fidelity_below_a_threshold_fails_that_gate() -> None:
    found = gates.fidelity_gates(fidelity(cosine=0.9), 0.999, 98.0, "x")
    assert {gate.name: gate.verdict for gate in found} == {
        "fidelity.out.cosine": "fail",
        "fidelity.out.top1_agreement": "pass",
    }


def test_a_cosine_that_is_not_a_number_fails() -> None:
    assert gates.fidelity_gates(fidelity(cosine=math.nan), 0.999, None, "x")[0].verdict == "fail"


def test_one_sample_of_few_may_disagree() -> None:
    found = gates.fidelity_gates(fidelity(samples=16, top1_agreement=93.75), 0.999, 98.0, "x")
    assert (found[1].verdict, found[1].tolerance) == ("pass", 6.25)


def test_two_samples_of_few_may_not() -> None:
    assert gates.fidelity_gates(fidelity(samples=16, top1_agreement=87.5), 0.999, 98.0, "x")[1].verdict == "fail"

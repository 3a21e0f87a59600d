import pytest

from runner.results import Gate, Meaning, values

PERCENT, ERROR = Meaning("percent", "higher"), Meaning("", "lower")


@pytest.mark.parametrize(
    ("gate", "meaning", "told"),
    [
        (
            Gate(name="accuracy.top1", measured=99.0699, expected=99.9, tolerance=1.0, verdict="pass"),
            PERCENT,
            "top1 99.07 (published 99.9, at most 1.0 below)",
        ),
        (
            Gate(
                name="accuracy.top1",
                measured=99.07,
                expected=99.9,
                tolerance=1.0,
                verdict="pass",
                expected_for="310P3, batch 100",
            ),
            PERCENT,
            "top1 99.07 (published 99.9 for 310P3, batch 100, at most 1.0 below)",
        ),
        (
            Gate(name="accuracy.rmse", measured=0.5, expected=0.25, tolerance=1e-4, verdict="fail"),
            ERROR,
            "rmse 0.5 (published 0.25, at most 0.0001 above)",
        ),
        (
            Gate(name="fidelity.out.cosine", measured=1.0, expected=0.999, tolerance=0.0, verdict="pass"),
            Meaning(),
            "fidelity.out.cosine 1 (at least 0.999)",
        ),
        (
            Gate(name="accuracy.top1", measured=0.1, expected=67.3, verdict="skip", reason="random weights"),
            PERCENT,
            "top1 0.10 (published 67.3; random weights)",
        ),
        (
            Gate(name="accuracy", verdict="skip", reason="no published accuracy for this model"),
            Meaning(),
            "accuracy (no published accuracy for this model)",
        ),
        (Gate(name="x", measured=2.0, verdict="pass"), Meaning(), "x 2"),
    ],
)
def test_a_gate_says_what_it_compared(gate: Gate, meaning: Meaning, told: str) -> None:
    assert values.of_gate(gate, meaning) == told

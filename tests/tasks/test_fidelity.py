from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from runner.core import ComparisonError, Predictions
from runner.data import predictions
from runner.tasks import fidelity

CHUNK = predictions.ROWS_AT_ONCE


def write(path: Path, ids: Sequence[str] | None = None, **outputs: ArrayLike) -> Predictions:
    arrays = {name: np.asarray(values, np.float32) for name, values in outputs.items()}
    count = len(next(iter(arrays.values())))
    names = [f"s{index}" for index in range(count)] if ids is None else ids
    return predictions.write(path, list(arrays), names, [arrays])


def normal(count: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(count).standard_normal((count, *shape)).astype(np.float32)


def test_outputs_are_compared_by_cosine_agreement_and_difference(tmp_path: Path) -> None:
    inferred = write(tmp_path / "a.npz", out=[[1, 0], [0, 1]])
    expected = write(tmp_path / "b.npz", out=[[1, 0], [1, 0]])
    found = fidelity.compare(inferred, expected, classifies=True)["out"]
    assert (found.samples, found.top1_agreement, found.cosine) == (2, 50.0, 0.5)
    assert (found.max_abs, found.mean_abs) == (1.0, 0.5)


def test_each_output_is_compared_by_its_name(tmp_path: Path) -> None:
    inferred = write(tmp_path / "a.npz", scores=[[1, 0], [0, 1]], mask=[[[1, 1]], [[1, 1]]])
    expected = write(tmp_path / "b.npz", mask=[[[1, 1]], [[3, 3]]], scores=[[1, 0], [0, 1]])
    found = fidelity.compare(inferred, expected, classifies=True)
    assert (found["scores"].top1_agreement, found["scores"].max_abs) == (100.0, 0.0)
    assert (found["mask"].cosine, found["mask"].max_abs) == (pytest.approx(1.0), 2.0)


def test_agreement_is_not_asked_of_what_is_no_class_scores(tmp_path: Path) -> None:
    made = write(tmp_path / "a.npz", picture=np.ones((2, 1, 4, 4)), scores=[[1, 0], [0, 1]])
    found = fidelity.compare(made, made, classifies=True)
    assert (found["picture"].top1_agreement, found["scores"].top1_agreement) == (None, 100.0)


def test_agreement_is_not_asked_of_a_network_that_is_no_classifier(tmp_path: Path) -> None:
    made = write(tmp_path / "a.npz", digits=np.ones((2, 784)))
    assert fidelity.compare(made, made)["digits"].top1_agreement is None


def test_a_comparison_does_not_depend_on_the_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 2 * CHUNK + 7
    values = normal(count, 5)
    inferred = write(tmp_path / "a.npz", out=values)
    expected = write(tmp_path / "b.npz", out=values + 0.1 * normal(count + 1, 5)[:count])
    in_chunks = fidelity.compare(inferred, expected, classifies=True)["out"]
    monkeypatch.setattr(predictions, "ROWS_AT_ONCE", count)
    whole = fidelity.compare(inferred, expected, classifies=True)["out"]
    assert in_chunks.samples == whole.samples == count
    assert in_chunks.top1_agreement == pytest.approx(whole.top1_agreement)
    assert in_chunks.cosine == pytest.approx(whole.cosine, abs=1e-12)
    assert (in_chunks.max_abs, in_chunks.mean_abs) == (whole.max_abs, pytest.approx(whole.mean_abs))


def test_samples_are_those_that_the_other_run_has(tmp_path: Path) -> None:
    values = normal(3 * CHUNK, 4)
    chosen = [0, 1, CHUNK - 1, CHUNK, 3 * CHUNK - 1]  # none in the third chunk but its last
    inferred = write(tmp_path / "a.npz", out=values)
    expected = write(tmp_path / "b.npz", ids=[f"s{index}" for index in chosen], out=values[chosen])
    found = fidelity.compare(inferred, expected)["out"]
    assert (found.samples, found.max_abs) == (5, 0.0)
    assert np.concatenate([pair.rows for pair in fidelity.pairs(inferred, expected)]).tolist() == chosen


def test_a_pair_holds_the_same_rows_of_both_runs(tmp_path: Path) -> None:
    inferred = write(tmp_path / "a.npz", out=[[1.0], [2.0], [3.0]])
    expected = write(tmp_path / "b.npz", ids=["s0", "s2"], out=[[10.0], [30.0]])
    (pair,) = fidelity.pairs(inferred, expected)
    assert list(pair.rows) == [0, 2]
    assert (pair.outputs["out"].tolist(), pair.reference["out"].tolist()) == ([[1.0], [3.0]], [[10.0], [30.0]])


def test_a_chunk_without_a_sample_of_the_other_run_makes_no_pair(tmp_path: Path) -> None:
    inferred = write(tmp_path / "a.npz", out=normal(3 * CHUNK, 2))
    expected = write(tmp_path / "b.npz", ids=[f"s{2 * CHUNK}"], out=[[1.0, 1.0]])
    assert [list(pair.rows) for pair in fidelity.pairs(inferred, expected)] == [[2 * CHUNK]]


def test_small_differences_of_float16_are_taken_in_double_precision(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    array = np.full((1, 4096), 0.1, np.float16)
    made = predictions.write(path, ["out"], ["s0"], [{"out": array}])
    assert fidelity.compare(made, made)["out"].cosine == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_told_with_its_place(tmp_path: Path, value: float) -> None:
    inferred = write(tmp_path / "a.npz", out=[[1, 0], [0, value]])
    expected = write(tmp_path / "b.npz", out=[[1, 0], [0, 1]])
    with pytest.raises(ComparisonError, match=r"'out' of the compiled model is -?(nan|inf) at element 1 of sample s1"):
        fidelity.compare(inferred, expected)


def test_a_value_of_pytorchs_that_is_no_number_is_told_as_such(tmp_path: Path) -> None:
    inferred = write(tmp_path / "a.npz", out=[[1, 0], [0, 1]])
    expected = write(tmp_path / "b.npz", ids=["s1"], out=[[np.nan, 0]])
    with pytest.raises(ComparisonError, match="of PyTorch is nan at element 0 of sample s1"):
        fidelity.compare(inferred, expected)


def test_samples_that_were_not_inferred_are_counted_and_named(tmp_path: Path) -> None:
    inferred = write(tmp_path / "a.npz", out=[[1, 0]])
    expected = write(tmp_path / "b.npz", ids=["s0", "t1", "t2"], out=[[1, 0], [1, 0], [1, 0]])
    with pytest.raises(ComparisonError, match="2 samples were not inferred, t1 the first"):
        fidelity.compare(inferred, expected)


def test_outputs_are_matched_by_exact_name(tmp_path: Path) -> None:
    inferred, expected = write(tmp_path / "a.npz", out=[[1, 0]]), write(tmp_path / "b.npz", Out=[[1, 0]])
    with pytest.raises(ComparisonError, match="gives out, PyTorch Out"):
        fidelity.compare(inferred, expected)


def test_outputs_of_another_shape_are_told(tmp_path: Path) -> None:
    inferred, expected = write(tmp_path / "a.npz", out=[[1, 0]]), write(tmp_path / "b.npz", out=[[1, 0, 0]])
    with pytest.raises(ComparisonError, match=r"'out' is \[2\] compiled and \[3\] in PyTorch"):
        fidelity.compare(inferred, expected)


def write_each(path: Path, *rows: ArrayLike, ids: Sequence[str] | None = None) -> Predictions:
    """The output `out` of samples whose shapes differ."""
    names = [f"s{index}" for index in range(len(rows))] if ids is None else ids
    return predictions.write(path, ["out"], names, [{"out": np.asarray([row], np.float32)} for row in rows])


def test_outputs_of_differing_shapes_are_compared_sample_by_sample(tmp_path: Path) -> None:
    inferred = write_each(tmp_path / "a.npz", [1, 0], [2, 2, 2], [0, 1])
    expected = write_each(tmp_path / "b.npz", [1, 0], [2, 2, 3], [1, 0])
    found = fidelity.compare(inferred, expected)["out"]
    assert (found.samples, found.max_abs, found.mean_abs) == (3, 1.0, 3 / 7)
    assert found.cosine == pytest.approx((1 + 14 / (12 * 17) ** 0.5 + 0) / 3)


def test_a_sample_of_another_shape_than_pytorchs_is_told(tmp_path: Path) -> None:
    inferred = write_each(tmp_path / "a.npz", [1, 0], [2, 2, 2])
    expected = write_each(tmp_path / "b.npz", [1, 0, 0], ids=["s1"])
    assert fidelity.compare(inferred, expected)["out"].samples == 1
    expected = write_each(tmp_path / "c.npz", [1, 0], ids=["s1"])
    with pytest.raises(ComparisonError, match=r"'out' is \[3\] compiled and \[2\] in PyTorch"):
        fidelity.compare(inferred, expected)


def test_whole_numbers_are_compared_by_the_share_of_equal_ones(tmp_path: Path) -> None:
    def labels(name: str, values: ArrayLike) -> Predictions:
        return predictions.write(tmp_path / name, ["map"], ["a", "b"], [{"map": np.asarray(values, np.int64)}])

    found = fidelity.compare(labels("a.npz", [[[1, 2], [3, 4]]] * 2), labels("b.npz", [[[1, 2], [3, 9]]] * 2))["map"]
    assert found.equal == 75.0


def test_equality_is_not_asked_of_floating_point(tmp_path: Path) -> None:
    made = write(tmp_path / "a.npz", out=[[1, 0]])
    assert fidelity.compare(made, made)["out"].equal is None

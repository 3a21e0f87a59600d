from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from runner.config.targets import Target
from runner.core import ComparisonError, DataError, Predictions, Samples
from runner.data import Row, predictions, rows
from runner.stages.score import ScoreSpec, score
from runner.tasks import fidelity

TOP1 = {"top1": Target("runner.tasks.classification.top_k", {"k": 1})}
AGREEMENT = {"action_agreement": Target("runner.tasks.agreement")}
LABELLED = ScoreSpec(None, "labels", TOP1)


def write(folder: Path, name: str, values: object, ids: list[str] | None = None, output: str = "out") -> Predictions:
    array = np.asarray(values, dtype=np.float32)
    ids = [f"s{i}" for i in range(len(array))] if ids is None else ids
    return predictions.write(folder / f"{name}.npz", [output], ids, [{output: array}])


def samples(folder: Path, count: int, truths: Sequence[int] | None = None) -> Samples:
    known = [None] * count if truths is None else truths
    rows.write(folder, (Row(id=f"s{index}", truth=truth) for index, truth in enumerate(known)))
    return Samples(path=folder, sha256="digest", count=count, spec=(), has_truth=truths is not None)


def test_accuracy_is_the_mean_over_all_samples(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[1, 0], [0, 1], [1, 0]])
    assert score(LABELLED, made, made, samples(tmp_path, 3, (0, 1, 1)), tmp_path).accuracy["top1"] == pytest.approx(
        200 / 3
    )


def test_scores_do_not_depend_on_the_chunks(tmp_path: Path) -> None:
    count = 2 * fidelity.CHUNK + 7
    values = np.random.default_rng(0).standard_normal((count, 5))
    made = write(tmp_path, "a", values)
    truths = tuple(int(label) for label in values.argmax(axis=1))
    assert score(LABELLED, made, made, samples(tmp_path, count, truths), tmp_path).accuracy["top1"] == 100.0


def test_fidelity_counts_the_samples_that_pytorch_computed(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[1, 0], [0, 1], [1, 0]])
    expected = write(tmp_path, "b", [[1, 0], [0, 1]], ids=["s0", "s2"])
    found = score(LABELLED, made, expected, samples(tmp_path, 3, (0, 1, 1)), tmp_path).fidelity["out"]
    assert (found.samples, found.top1_agreement, found.cosine) == (2, 50.0, 0.5)
    assert (found.max_abs, found.mean_abs) == (1.0, 0.5)


def test_a_metric_against_pytorch_needs_no_labels(tmp_path: Path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0], [0, 1]]), write(tmp_path, "b", [[3, 0], [1, 0]])
    scores = score(ScoreSpec(None, "reference", AGREEMENT), made, expected, samples(tmp_path, 2), tmp_path)
    assert (scores.accuracy, scores.samples) == ({"action_agreement": 50.0}, 2)


def test_agreement_is_not_asked_of_pictures(tmp_path: Path) -> None:
    made = write(tmp_path, "a", np.ones((2, 1, 4, 4)))
    spec = ScoreSpec(None, "reference", {"cosine": Target("runner.tasks.cosine")})
    assert score(spec, made, made, samples(tmp_path, 2), tmp_path).fidelity["out"].top1_agreement is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_fails_and_says_where(tmp_path: Path, value: float) -> None:
    made = write(tmp_path, "a", [[1, 0], [0, value]])
    expected = write(tmp_path, "b", [[1, 0], [0, 1]])
    with pytest.raises(ComparisonError, match=r"'out' of the compiled model is -?(nan|inf) at element 1 of sample s1"):
        score(LABELLED, made, expected, samples(tmp_path, 2, (0, 1)), tmp_path)


def test_nan_in_a_sample_that_pytorch_did_not_compute_fails_too(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[1, 0], [np.nan, 0]])
    with pytest.raises(ComparisonError, match="sample s1"):
        score(LABELLED, made, write(tmp_path, "b", [[1, 0]]), samples(tmp_path, 2, (0, 1)), tmp_path)


def test_nan_in_pytorch_fails_and_says_so(tmp_path: Path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0]]), write(tmp_path, "b", [[np.nan, 0]])
    with pytest.raises(ComparisonError, match="of PyTorch is nan"):
        score(LABELLED, made, expected, samples(tmp_path, 1, (0,)), tmp_path)


def test_outputs_are_matched_by_exact_name(tmp_path: Path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0]]), write(tmp_path, "b", [[1, 0]], output="Out")
    with pytest.raises(ComparisonError, match="gives out, PyTorch Out"):
        score(LABELLED, made, expected, samples(tmp_path, 1, (0,)), tmp_path)


def test_outputs_of_another_shape_fail(tmp_path: Path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0]]), write(tmp_path, "b", [[1, 0, 0]])
    with pytest.raises(ComparisonError, match=r"\[2\] compiled and \[3\] in PyTorch"):
        score(LABELLED, made, expected, samples(tmp_path, 1, (0,)), tmp_path)


def test_a_data_set_without_labels_cannot_be_scored_against_them(tmp_path: Path) -> None:
    made = write(tmp_path, "a", [[1, 0]])
    with pytest.raises(DataError, match="need labels"):
        score(LABELLED, made, made, samples(tmp_path, 1), tmp_path)

import numpy as np
import pytest

from runner import predictions
from runner.artifacts import Samples
from runner.errors import ComparisonError, DataError
from runner.stages.score import CHUNK, ScoreSpec, score
from runner.targets import Target

TOP1 = {"top1": Target("runner.metrics.classification.top_k", {"k": 1})}
AGREEMENT = {"action_agreement": Target("runner.metrics.classification.agreement")}
LABELLED = ScoreSpec("out", "labels", TOP1)


def write(folder, name: str, values, ids=None, output: str = "out"):
    array = np.asarray(values, dtype=np.float32)
    ids = [f"s{i}" for i in range(len(array))] if ids is None else ids
    return predictions.write(folder / f"{name}.npz", [output], ids, [{output: array}])


def samples(folder, count: int, labels=None) -> Samples:
    return Samples(folder, "digest", count, (), tuple(f"s{i}" for i in range(count)), labels)


def test_accuracy_is_the_mean_over_all_samples(tmp_path) -> None:
    made = write(tmp_path, "a", [[1, 0], [0, 1], [1, 0]])
    assert score(LABELLED, made, made, samples(tmp_path, 3, (0, 1, 1)), tmp_path).accuracy["top1"] == pytest.approx(
        200 / 3
    )


def test_scores_do_not_depend_on_the_chunks(tmp_path) -> None:
    count = 2 * CHUNK + 7
    values = np.random.default_rng(0).standard_normal((count, 5))
    made = write(tmp_path, "a", values)
    labels = tuple(int(label) for label in values.argmax(axis=1))
    assert score(LABELLED, made, made, samples(tmp_path, count, labels), tmp_path).accuracy["top1"] == 100.0


def test_fidelity_counts_the_samples_that_pytorch_computed(tmp_path) -> None:
    made = write(tmp_path, "a", [[1, 0], [0, 1], [1, 0]])
    expected = write(tmp_path, "b", [[1, 0], [0, 1]], ids=["s0", "s2"])
    fidelity = score(LABELLED, made, expected, samples(tmp_path, 3, (0, 1, 1)), tmp_path).fidelity["out"]
    assert (fidelity.samples, fidelity.top1_agreement, fidelity.cosine) == (2, 50.0, 0.5)
    assert (fidelity.max_abs, fidelity.mean_abs) == (1.0, 0.5)


def test_a_metric_against_pytorch_needs_no_labels(tmp_path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0], [0, 1]]), write(tmp_path, "b", [[3, 0], [1, 0]])
    scores = score(ScoreSpec("out", "reference", AGREEMENT), made, expected, samples(tmp_path, 2), tmp_path)
    assert (scores.accuracy, scores.samples) == ({"action_agreement": 50.0}, 2)


def test_agreement_is_not_asked_of_pictures(tmp_path) -> None:
    made = write(tmp_path, "a", np.ones((2, 1, 4, 4)))
    spec = ScoreSpec("out", "reference", {"cosine": Target("runner.metrics.similarity.cosine")})
    assert score(spec, made, made, samples(tmp_path, 2), tmp_path).fidelity["out"].top1_agreement is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_fails_and_says_where(tmp_path, value) -> None:
    made = write(tmp_path, "a", [[1, 0], [0, value]])
    expected = write(tmp_path, "b", [[1, 0], [0, 1]])
    with pytest.raises(ComparisonError, match=r"'out' of the compiled model is -?(nan|inf) at element 1 of sample s1"):
        score(LABELLED, made, expected, samples(tmp_path, 2, (0, 1)), tmp_path)


def test_nan_in_a_sample_that_pytorch_did_not_compute_fails_too(tmp_path) -> None:
    made = write(tmp_path, "a", [[1, 0], [np.nan, 0]])
    with pytest.raises(ComparisonError, match="sample s1"):
        score(LABELLED, made, write(tmp_path, "b", [[1, 0]]), samples(tmp_path, 2, (0, 1)), tmp_path)


def test_nan_in_pytorch_fails_and_says_so(tmp_path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0]]), write(tmp_path, "b", [[np.nan, 0]])
    with pytest.raises(ComparisonError, match="of PyTorch is nan"):
        score(LABELLED, made, expected, samples(tmp_path, 1, (0,)), tmp_path)


def test_outputs_are_matched_by_exact_name(tmp_path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0]]), write(tmp_path, "b", [[1, 0]], output="Out")
    with pytest.raises(ComparisonError, match="gives out, PyTorch Out"):
        score(LABELLED, made, expected, samples(tmp_path, 1, (0,)), tmp_path)


def test_outputs_of_another_shape_fail(tmp_path) -> None:
    made, expected = write(tmp_path, "a", [[1, 0]]), write(tmp_path, "b", [[1, 0, 0]])
    with pytest.raises(ComparisonError, match=r"\[2\] compiled and \[3\] in PyTorch"):
        score(LABELLED, made, expected, samples(tmp_path, 1, (0,)), tmp_path)


def test_a_data_set_without_labels_cannot_be_scored_against_them(tmp_path) -> None:
    made = write(tmp_path, "a", [[1, 0]])
    with pytest.raises(DataError, match="need labels"):
        score(LABELLED, made, made, samples(tmp_path, 1), tmp_path)

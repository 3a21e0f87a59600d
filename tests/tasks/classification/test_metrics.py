import numpy as np
import pytest

from runner.config.callables import Target
from runner.core import DataError
from runner.tasks import metric_of
from runner.tasks.classification import top_k

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])


def test_top_1_counts_the_largest_score() -> None:
    assert top_k(SCORES, np.array([1, 2]), k=1).tolist() == [100.0, 0.0]


def test_top_2_counts_the_two_largest() -> None:
    assert top_k(SCORES, np.array([0, 2]), k=2).tolist() == [0.0, 100.0]


def test_of_equal_scores_the_lower_class_ranks_first() -> None:
    assert top_k(np.zeros((2, 3)), np.array([0, 1]), k=1).tolist() == [100.0, 0.0]


def test_a_net_with_a_background_class_counts_one_up() -> None:
    outputs = np.zeros((1, 1001))
    outputs[0, 8] = 1.0
    assert top_k(outputs, np.array([7]), k=1).tolist() == [100.0]


def test_outputs_with_trailing_axes_of_one_are_class_scores() -> None:
    assert top_k(SCORES.reshape(2, 3, 1, 1), np.array([1, 0]), k=1).tolist() == [100.0, 100.0]


def test_a_label_that_is_no_class_is_named() -> None:
    with pytest.raises(DataError, match="label 3 is no class of a network with 3 outputs"):
        top_k(SCORES, np.array([0, 3]), k=1)


def test_pictures_are_no_class_scores() -> None:
    with pytest.raises(DataError, match=r"\[2, 1, 4, 4\]"):
        top_k(np.zeros((2, 1, 4, 4)), np.array([0, 0]), k=1)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_top_k_in_chunks_is_the_mean_over_all(chunk: int, k: int) -> None:
    random = np.random.default_rng(k)
    scores, labels = random.standard_normal((100, 8)), random.integers(0, 8, 100)
    metric = metric_of("top", Target("runner.tasks.classification.top_k", {"k": k}))
    for start in range(0, 100, chunk):
        metric.add(scores[start : start + chunk], labels[start : start + chunk].tolist())
    assert metric.compute() == {"top": pytest.approx(top_k(scores, labels, k=k).mean(), abs=1e-12)}


def test_top_k_is_a_share_in_percent_and_higher_is_better() -> None:
    metric = metric_of("top5", Target("runner.tasks.classification.top_k", {"k": 5}))
    (figure,) = metric.figures.values()
    assert (figure.unit, figure.better, figure.is_share) == ("percent", "higher", True)

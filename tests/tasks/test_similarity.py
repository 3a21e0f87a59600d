import numpy as np
import pytest

from runner.core import DataError
from runner.tasks.similarity import agreement, are_class_scores, class_scores, cosine, mean_absolute_difference

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])


def test_mean_absolute_difference_is_a_sample_at_a_time() -> None:
    outputs, reference = np.array([[[1.0, 3.0]], [[0.0, 0.0]]]), np.array([[[0.0, 0.0]], [[0.0, 0.0]]])
    assert mean_absolute_difference(outputs, reference).tolist() == [2.0, 0.0]


def test_cosine_of_parallel_orthogonal_and_opposite_vectors() -> None:
    outputs, reference = np.array([[1.0, 0.0]] * 3), np.array([[2.0, 0.0], [0.0, 5.0], [-1.0, 0.0]])
    assert cosine(outputs, reference).tolist() == [1.0, 0.0, -1.0]


def test_cosine_is_1_of_two_zero_vectors_and_0_of_one() -> None:
    assert cosine(np.zeros((2, 2)), np.array([[0.0, 0.0], [1.0, 0.0]])).tolist() == [1.0, 0.0]


def test_cosine_of_float32_is_taken_in_double_precision() -> None:
    values = np.random.default_rng(0).standard_normal((1, 10000)).astype(np.float32)
    assert cosine(values, values)[0] == pytest.approx(1.0, abs=1e-12)


def test_agreement_is_of_the_argmax() -> None:
    assert agreement(SCORES, np.array([[0.0, 9.0, 0.0], [0.0, 9.0, 0.0]])).tolist() == [100.0, 0.0]


def test_agreement_of_pictures_is_not_asked_for() -> None:
    with pytest.raises(DataError, match=r"\[2, 1, 4, 4\] are not class scores"):
        agreement(np.zeros((2, 1, 4, 4)), np.zeros((2, 1, 4, 4)))


def test_class_scores_drop_trailing_axes_of_one() -> None:
    assert class_scores(SCORES.reshape(2, 3, 1, 1)).tolist() == SCORES.tolist()


@pytest.mark.parametrize(
    ("shape", "are"),
    [((2, 3), True), ((2, 3, 1, 1), True), ((2, 1), False), ((0, 3), False), ((2, 1, 4, 4), False), ((2,), False)],
)
def test_only_several_numbers_a_sample_in_one_axis_are_class_scores(shape: tuple[int, ...], are: bool) -> None:
    assert are_class_scores(np.zeros(shape)) is are

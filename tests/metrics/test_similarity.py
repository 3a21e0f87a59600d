import numpy as np
import pytest

from runner.metrics.similarity import cosine, cosine_accuracy, mean_absolute_difference


def test_mean_absolute_difference_is_a_sample_at_a_time() -> None:
    outputs, reference = np.array([[[1.0, 3.0]], [[0.0, 0.0]]]), np.array([[[0.0, 0.0]], [[0.0, 0.0]]])
    assert mean_absolute_difference(outputs, reference).tolist() == [2.0, 0.0]


def test_cosine_of_parallel_orthogonal_and_opposite_vectors() -> None:
    outputs, reference = np.array([[1.0, 0.0]] * 3), np.array([[2.0, 0.0], [0.0, 5.0], [-1.0, 0.0]])
    assert cosine(outputs, reference).tolist() == [1.0, 0.0, -1.0]


def test_cosine_is_1_of_two_zero_vectors_and_0_of_one() -> None:
    assert cosine(np.zeros((2, 2)), np.array([[0.0, 0.0], [1.0, 0.0]])).tolist() == [1.0, 0.0]


def test_the_guides_acc_maps_the_cosine_to_percent() -> None:
    outputs, reference = np.array([[1.0, 0.0]] * 2), np.array([[1.0, 0.0], [0.0, 1.0]])
    assert cosine_accuracy(outputs, reference).tolist() == [100.0, 50.0]


def test_cosine_of_float32_is_taken_in_double_precision() -> None:
    values = np.random.default_rng(0).standard_normal((1, 10000)).astype(np.float32)
    assert cosine(values, values)[0] == pytest.approx(1.0, abs=1e-12)

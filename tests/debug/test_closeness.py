import numpy as np
import pytest

from runner.debug.closeness import CosineFloor, Tolerance, closeness


def test_the_difference_is_told_relative_to_the_largest_value() -> None:
    found = closeness(np.array([[4.0, 3.0]]), np.array([[4.0, 2.0]]))
    assert (found.max_abs, found.largest, found.max_rel) == (1.0, 4.0, 0.25)


@pytest.mark.parametrize(("off", "holds"), [(0.0999, True), (0.1002, False)])
def test_a_tolerance_grows_with_the_tensor(off: float, holds: bool) -> None:
    reference = np.array([100.0, 1.0])
    assert Tolerance(rtol=1e-3, atol=1e-4).holds(closeness(np.array([100.0, 1.0 + off]), reference)) is holds


def test_integers_must_be_equal() -> None:
    assert not Tolerance().holds(closeness(np.array([100_000]), np.array([100_001])))


def test_booleans_are_compared() -> None:
    assert not Tolerance().holds(closeness(np.array([True]), np.array([False])))


def test_another_shape_parts() -> None:
    found = closeness(np.zeros((1, 3)), np.zeros((3, 1)))
    assert found.incomparable == "its shape is [1, 3], not [3, 1]"
    assert not Tolerance().holds(found)
    assert not CosineFloor(0).holds(found)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_on_one_side_only_parts(value: float) -> None:
    bad, good = np.array([1.0, value]), np.array([1.0, 2.0])
    assert not Tolerance().holds(closeness(bad, good))
    assert not Tolerance().holds(closeness(good, bad))


def test_what_is_not_finite_in_the_same_places_is_counted_and_left_out() -> None:
    array = np.array([1.0, np.nan, np.inf])
    found = closeness(array, array)
    assert Tolerance().holds(found)
    assert (found.not_finite, found.largest) == (2, 1.0)


def test_nan_is_not_infinity() -> None:
    assert not Tolerance().holds(closeness(np.array([np.nan]), np.array([np.inf])))
    assert not Tolerance().holds(closeness(np.array([-np.inf]), np.array([np.inf])))


def test_only_class_scores_have_an_agreement() -> None:
    scores = np.array([[0.1, 0.9], [0.9, 0.1]])
    assert closeness(scores, scores[::-1]).top1_agreement == 0.0
    assert closeness(scores[None], scores[None]).top1_agreement is None


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_scalars_and_empty_arrays_are_compared(shape: tuple[int, ...]) -> None:
    assert Tolerance().holds(closeness(np.ones(shape), np.ones(shape)))


def test_a_cosine_floor_forgives_the_size_of_differences() -> None:
    found = closeness(np.array([[1.001, 2.002]]), np.array([[1.0, 2.0]]))
    assert CosineFloor(0.999).holds(found)
    assert not Tolerance(rtol=1e-4).holds(found)

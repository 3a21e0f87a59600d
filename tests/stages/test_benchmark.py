import numpy as np

from runner.artifacts import TensorSpec
from runner.stages.benchmark import random_inputs


def test_inputs_have_the_batch_the_shape_and_the_type_of_the_model() -> None:
    inputs = random_inputs((TensorSpec("x", "float32", (2, 3)), TensorSpec("n", "int64", ())), 4)
    assert {name: (array.shape, str(array.dtype)) for name, array in inputs.items()} == {
        "x": ((4, 2, 3), "float32"),
        "n": ((4,), "int64"),
    }


def test_inputs_are_random_and_the_same_every_time() -> None:
    tensors = (TensorSpec("x", "float32", (100,)),)
    assert random_inputs(tensors, 2)["x"].std() > 0.5
    np.testing.assert_array_equal(random_inputs(tensors, 2)["x"], random_inputs(tensors, 2)["x"])


def test_integers_are_no_negative_indices() -> None:
    assert random_inputs((TensorSpec("n", "int64", (100,)),), 1)["n"].min() >= 0

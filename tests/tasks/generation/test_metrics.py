import numpy as np

from runner.tasks.generation import cosine_accuracy


def test_the_guides_acc_maps_the_cosine_to_percent() -> None:
    outputs, reference = np.array([[1.0, 0.0]] * 2), np.array([[1.0, 0.0], [0.0, 1.0]])
    assert cosine_accuracy(outputs, reference).tolist() == [100.0, 50.0]

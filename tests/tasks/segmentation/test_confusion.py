from itertools import product

import numpy as np
import pytest

from runner.core import ConfigError, DataError
from runner.tasks.segmentation import UNSEEN, ConfusionMatrix


def scored(metric: ConfusionMatrix, result: list, truth: list) -> dict[str, float]:
    metric.add([np.array(result, np.uint8)], [np.array(truth, np.uint8)])
    return {name: round(value, 4) for name, value in metric.compute().items()}


def test_figures_of_a_map_worked_by_hand() -> None:
    # class 0: I 2, T 3, P 2; class 1: I 1, T 2, P 3; class 2: I 1, T 1, P 1
    found = scored(ConfusionMatrix(3), [[0, 0, 1], [1, 1, 2]], [[0, 0, 0], [1, 0, 2]])
    assert found == {
        "miou": round(100 * (2 / 4 + 1 / 3 + 1) / 3, 4),
        "class_accuracy": round(100 * (2 / 4 + 1 + 1) / 3, 4),
        "pixel_accuracy": round(100 * 4 / 6, 4),
        "dice": round(100 * (2 * 2 / 6 + 2 / 4 + 1) / 3, 4),
    }


def test_truth_itself_scores_100_percent() -> None:
    truth = np.random.default_rng(0).integers(0, 19, (40, 50)).tolist()
    assert set(scored(ConfusionMatrix(19), truth, truth).values()) == {100.0}


def test_ignored_pixels_count_nowhere() -> None:
    found = scored(ConfusionMatrix(2, ignore=255), [[0, 1, 1, 0]], [[0, 1, 255, 255]])
    assert set(found.values()) == {100.0}


def test_void_pixels_are_wrong_predictions_of_what_was_said_there() -> None:
    found = scored(ConfusionMatrix(3, void=2), [[0, 1, 1]], [[0, 1, 2]])
    assert found["miou"] == 100 * (1 + 1 / 2) / 2
    assert found["class_accuracy"] == found["pixel_accuracy"] == 100.0


def test_saying_void_is_a_miss() -> None:
    found = scored(ConfusionMatrix(3, void=2), [[0, 2]], [[0, 0]])
    assert (found["miou"], found["class_accuracy"], found["pixel_accuracy"]) == (50.0, 50.0, 50.0)


def test_class_without_pixels_has_no_share_in_a_mean() -> None:
    assert scored(ConfusionMatrix(5), [[0, 1]], [[0, 1]])["miou"] == 100.0


def test_class_that_is_only_predicted_counts_in_the_iou_alone() -> None:
    found = scored(ConfusionMatrix(2), [[0, 1]], [[0, 0]])
    assert (found["miou"], found["class_accuracy"]) == (25.0, 50.0)


def test_unseen_pixels_are_left_out() -> None:
    assert set(scored(ConfusionMatrix(2), [[0, UNSEEN]], [[0, 1]]).values()) == {100.0}


def test_figures_are_of_the_whole_set_not_a_mean_over_pictures() -> None:
    metric = ConfusionMatrix(2)
    metric.add([np.zeros((1, 9), np.uint8)], [np.zeros((1, 9), np.uint8)])
    metric.add([np.zeros((1, 1), np.uint8)], [np.ones((1, 1), np.uint8)])
    assert metric.compute()["miou"] == pytest.approx(100 * (9 / 10 + 0) / 2)


def test_matrix_is_that_of_a_plain_loop() -> None:
    metric = ConfusionMatrix(4, ignore=255)
    random = np.random.default_rng(0)
    truths = random.choice([0, 1, 2, 3, 255], (3, 8, 9)).astype(np.uint8)
    results = random.integers(0, 4, (3, 8, 9)).astype(np.uint8)
    metric.add(list(results), list(truths))
    expected = np.zeros((4, 4), int)
    for index in product(*map(range, truths.shape)):
        if truths[index] != 255:
            expected[truths[index], results[index]] += 1
    np.testing.assert_array_equal(metric.matrix, expected)


def test_parts_merge_to_the_whole() -> None:
    truths, results = np.random.default_rng(0).integers(0, 3, (2, 6, 10, 10)).astype(np.uint8)
    whole, first, second = ConfusionMatrix(3), ConfusionMatrix(3), ConfusionMatrix(3)
    whole.add(results, truths)
    first.add(results[:2], truths[:2])
    second.add(results[2:], truths[2:])
    first.merge(second)
    assert first.compute() == whole.compute()


def test_one_channel_tells_two_classes() -> None:
    assert scored(ConfusionMatrix(1), [[0, 1]], [[0, 1]])["miou"] == 100.0


def test_nothing_that_counts_is_no_number() -> None:
    assert np.isnan(scored(ConfusionMatrix(2, ignore=255), [[0]], [[255]])["miou"])


def test_class_that_only_the_network_has_is_an_error() -> None:
    with pytest.raises(DataError, match=r"the network says class 20, and dataset\.metrics counts 19 classes"):
        scored(ConfusionMatrix(19), [[20]], [[0]])


def test_class_that_only_the_truth_has_is_an_error() -> None:
    with pytest.raises(DataError, match=r"the truth says class 255, and dataset\.metrics counts 19 classes"):
        scored(ConfusionMatrix(19), [[0]], [[255]])


def test_map_of_another_size_than_its_truth_is_an_error() -> None:
    with pytest.raises(DataError, match=r"is \[1, 2\], and its truth \[1, 3\]"):
        scored(ConfusionMatrix(2), [[0, 0]], [[0, 0, 0]])


@pytest.mark.parametrize("arguments", [{"classes": 0}, {"classes": 3, "void": 3}, {"classes": 3, "ignore": 256}])
def test_argument_out_of_range_is_an_error(arguments) -> None:
    with pytest.raises(ConfigError, match="of the confusion matrix is"):
        ConfusionMatrix(**arguments)

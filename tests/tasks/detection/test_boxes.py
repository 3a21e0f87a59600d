import numpy as np
import pytest

from runner.data import Row
from runner.tasks.detection.boxes import areas, iou, to_original


def boxes(*rows):
    return np.array(rows, np.float32)


def test_box_goes_back_through_padding_and_scale():
    row = Row(id="a", original_size=(400, 200), scale=(0.5, 0.25), padding=(10, 20, 10, 20))
    assert to_original(boxes([30, 60, 45, 110]), row).tolist() == [[40, 100, 100, 200]]


def test_box_of_a_cut_picture_is_moved_back():
    row = Row(id="a", original_size=(100, 100), scale=(1, 1), padding=(-10, -20, -10, -20))
    assert to_original(boxes([0, 0, 5, 5]), row).tolist() == [[20, 10, 25, 15]]


def test_box_is_clipped_to_the_original_picture():
    row = Row(id="a", original_size=(30, 50), scale=(1, 1), padding=(0, 0, 0, 0))
    assert to_original(boxes([-3, -4, 60, 70]), row).tolist() == [[0, 0, 50, 30]]


def test_box_of_a_row_without_metadata_is_kept():
    assert to_original(boxes([-1, 2, 3, 4]), Row(id="a")).tolist() == [[-1, 2, 3, 4]]


def test_no_boxes_stay_none():
    assert to_original(np.zeros((0, 4)), Row(id="a")).shape == (0, 4)


def test_area_of_edges_in_the_wrong_order_is_0():
    assert areas(boxes([1, 1, 4, 3], [4, 1, 1, 3])).tolist() == [6, 0]


@pytest.mark.parametrize(
    ("right", "expected"),
    [([0, 0, 2, 2], 1.0), ([1, 0, 3, 2], 1 / 3), ([2, 0, 4, 2], 0.0), ([0, 0, 1, 1], 0.25), ([1, 1, 1, 1], 0.0)],
)
def test_iou_is_the_shared_area_over_that_of_both(right, expected):
    assert iou(boxes([0, 0, 2, 2]), boxes(right)) == pytest.approx(expected)


def test_iou_of_whole_numbers_is_a_fraction():
    assert iou(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2]])) == pytest.approx(1 / 3)


def test_iou_of_two_empty_boxes_is_0():
    assert iou(boxes([1, 1, 1, 1]), boxes([1, 1, 1, 1])).tolist() == [[0]]


def test_iou_with_a_crowd_is_the_share_of_the_left_box():
    assert iou(boxes([0, 0, 2, 2]), boxes([1, 0, 100, 100]), np.array([True])) == pytest.approx(0.5)

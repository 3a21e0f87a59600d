import cv2
import numpy as np
import pytest

from runner.core import ConfigError, DataError
from runner.data import Row
from runner.tasks.ocr_detection import Db, Hmean, Polygons

ROW = Row(id="a", original_size=(96, 160), scale=(1.0, 1.0), padding=(0, 0, 0, 0))


def shrunk_map(polygons, height=96, width=160, ratio=0.4):
    """The map that a perfect network gives: each box shrunk by D = A (1 - r^2) / L, as it is trained."""
    drawn = np.zeros((height, width), np.float32)
    for points in polygons:
        centre, sides, angle = cv2.minAreaRect(np.array(points, np.float32))
        distance = sides[0] * sides[1] * (1 - ratio**2) / (2 * (sides[0] + sides[1]))
        inner = (sides[0] - 2 * distance, sides[1] - 2 * distance)
        cv2.fillPoly(drawn, [cv2.boxPoints((centre, inner, angle)).round().astype(np.int32)], 1.0)
    return drawn[None, None]


BOX = [[20, 20], [120, 20], [120, 60], [20, 60]]
TURNED = cv2.boxPoints(((80, 48), (90, 30), 12.0)).tolist()


@pytest.mark.parametrize("polygon", [BOX, TURNED])
def test_truth_fed_through_it_is_found_again(polygon):
    found = Db(enlarge=1.8)({"map": shrunk_map([polygon])}, [ROW])
    hmean = Hmean()
    hmean.add(found, [{"polygons": [polygon], "ignored": [False]}])
    assert hmean.compute() == {"precision": 100.0, "recall": 100.0, "hmean": 100.0}


def test_a_box_is_enlarged_by_area_over_length():
    drawn = np.zeros((1, 1, 96, 160), np.float32)
    drawn[:, :, 30:51, 40:101] = 0.9  # corners 40, 30 and 100, 50: 60 by 20
    (found,) = Db(enlarge=1.0)({"map": drawn}, [ROW])
    distance = 60 * 20 / (2 * (60 + 20))
    np.testing.assert_allclose(found.points[0].min(axis=0), (40 - distance, 30 - distance), atol=1e-3)
    np.testing.assert_allclose(found.points[0].max(axis=0), (100 + distance, 50 + distance), atol=1e-3)
    assert found.scores == [pytest.approx(0.9)]


def test_a_region_of_little_probability_is_left_out():
    drawn = np.full((1, 1, 96, 160), 0.0, np.float32)
    drawn[:, :, 30:50, 40:100] = 0.5
    assert Db(score=0.6)({"map": drawn}, [ROW])[0].points == []


def test_a_speck_is_left_out():
    drawn = np.zeros((1, 1, 96, 160), np.float32)
    drawn[:, :, 30:32, 40:42] = 1.0
    assert Db()({"map": drawn}, [ROW])[0].points == []


def test_boxes_are_in_the_original_pictures_pixels():
    drawn = np.zeros((1, 96, 160), np.float32)
    drawn[:, 30:51, 40:101] = 1.0
    row = Row(id="a", original_size=(192, 240), scale=(0.5, 0.5), padding=(0, 20, 0, 20))
    (found,) = Db(enlarge=0.0)({"map": drawn}, [row])
    np.testing.assert_allclose(found.points[0].min(axis=0), ((40 - 20) / 0.5, 30 / 0.5))
    np.testing.assert_allclose(found.points[0].max(axis=0), ((100 - 20) / 0.5, 50 / 0.5))


def test_a_map_smaller_than_the_row_is_scaled_up():
    drawn = np.zeros((1, 48, 80), np.float32)
    drawn[:, 10:21, 10:41] = 1.0
    (found,) = Db(enlarge=0.0)({"map": drawn}, [ROW])
    np.testing.assert_allclose(found.points[0].max(axis=0), (80, 40))


def test_boxes_are_cut_at_the_pictures_edge():
    drawn = np.zeros((1, 96, 160), np.float32)
    drawn[:, 0:30, 0:60] = 1.0
    (found,) = Db(enlarge=1.5)({"map": drawn}, [ROW])
    assert found.points[0].min() == 0


def test_an_output_that_is_no_map_is_told():
    with pytest.raises(DataError, match=r"output 'scores' is \[1, 10\], which is no map of probabilities"):
        Db()({"scores": np.zeros((1, 10), np.float32)}, [ROW])


def test_an_argument_out_of_its_bounds_is_told():
    with pytest.raises(ConfigError, match=r"model\.decode\.keep is 0"):
        Db(keep=0)


def test_an_empty_map_has_no_boxes():
    assert Db()({"map": np.zeros((1, 1, 96, 160), np.float32)}, [ROW]) == [Polygons([], [])]

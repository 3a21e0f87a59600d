import numpy as np
import pytest
from PIL import Image

from runner.data import Row
from runner.tasks import Example
from runner.tasks.generation import write_image_grid


def examples(images):
    for index, image in enumerate(images):
        yield Example(rows=[Row(id=str(index))], inputs={}, result=image, channels="rgb")


def grid_of(tmp_path, images):
    written = write_image_grid(examples(images), tmp_path)
    assert written == tmp_path / "grid.png"
    return np.asarray(Image.open(written))


def test_grid_has_eight_columns_with_two_pixels_between(tmp_path):
    grid = grid_of(tmp_path, np.ones((10, 1, 5, 6), np.float32))
    assert grid.shape == (2 * (5 + 2) + 2, 8 * (6 + 2) + 2, 3)


def test_at_most_64_images_are_shown(tmp_path):
    assert grid_of(tmp_path, np.ones((100, 3, 4, 4), np.float32)).shape == (8 * 6 + 2, 8 * 6 + 2, 3)


def test_values_are_spread_from_black_to_white_over_all_images(tmp_path):
    images = np.stack([np.full((1, 2, 2), value, np.float32) for value in (-1.0, 0.0, 1.0)])
    grid = grid_of(tmp_path, images)
    assert [grid[2, 2 + 4 * column, 0] for column in range(3)] == [0, 128, 255]


def test_images_after_the_shown_ones_do_not_count_in_the_spread(tmp_path):
    images = np.ones((65, 1, 2, 2), np.float32)
    images[0], images[64] = 0, 100
    assert grid_of(tmp_path, images).max() == 255


def test_colours_stay_in_place(tmp_path):
    image = np.zeros((1, 3, 2, 2), np.float32)
    image[0, 0] = 1
    assert grid_of(tmp_path, image)[2, 2].tolist() == [255, 0, 0]


def test_values_that_are_no_numbers_are_black(tmp_path):
    images = np.array([np.nan, np.inf, 0.0, 1.0], np.float32).reshape(1, 1, 2, 2)
    assert grid_of(tmp_path, images)[2:4, 2:4, 0].tolist() == [[0, 0], [0, 255]]


def test_constant_images_are_black(tmp_path):
    assert grid_of(tmp_path, np.full((1, 1, 2, 2), 7.0, np.float32)).max() == 0


@pytest.mark.parametrize("shape", [(4, 1000), (4, 2, 8, 8), (4, 8, 8), (0, 1, 8, 8), (4, 1, 0, 8)])
def test_result_that_is_no_image_gives_no_grid(tmp_path, shape):
    assert write_image_grid(examples(np.ones(shape, np.float32)), tmp_path) is None
    assert list(tmp_path.iterdir()) == []

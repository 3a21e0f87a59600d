import numpy as np
from PIL import Image

from runner.data import Row
from runner.tasks import Example
from runner.tasks.ocr_detection import Polygons, write_polygons

BOX = [[5, 5], [40, 5], [40, 30], [5, 30]]


def test_found_and_true_polygons_are_drawn(tmp_path):
    row = Row(
        id="a",
        truth={"polygons": [[[50, 40], [60, 40], [60, 45], [50, 45]]], "ignored": [False]},
        original_size=(48, 64),
        scale=(1.0, 1.0),
        padding=(0, 0, 0, 0),
    )
    example = Example(
        rows=[row],
        inputs={"x": np.full((1, 3, 48, 64), 200, np.uint8)},
        result=Polygons([np.array(BOX, float)], [0.9]),
        channels="rgb",
    )
    written = write_polygons(iter([example]), tmp_path)
    pixels = {tuple(pixel) for pixel in np.asarray(Image.open(written)).reshape(-1, 3).tolist()}
    assert {(230, 40, 40), (30, 170, 60), (200, 200, 200)} <= pixels


def test_without_pictures_nothing_is_written(tmp_path):
    assert write_polygons(iter([]), tmp_path) is None
    assert list(tmp_path.iterdir()) == []

from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as mask_tools

from runner.core import FREE, TensorSpec
from runner.data import Geometry, Request, rows
from runner.data.storage import open_array, read_at
from runner.tasks.detection import Boxes, CocoAveragePrecision, SyntheticBoxes
from runner.tasks.detection.boxes import iou

READER = SyntheticBoxes(6, 60, 45, 10)


def request(limit=None, seed=0, geometry=None, shape=(3, FREE, FREE)):
    return Request((TensorSpec("image", "float32", shape),), geometry or Geometry(fit="none"), limit, seed)


def write(out, reader=READER, **options):
    out.mkdir()
    assert reader.validate(request(**options)) == []
    return reader.write(request(**options), out, None)


def read(samples):
    return sorted(rows.read(samples.path), key=lambda row: row.id)


def test_pictures_are_named_and_called_a_substitute(tmp_path):
    samples = write(tmp_path / "out", seed=3)
    assert [row.id for row in read(samples)][:2] == ["synthetic_00000", "synthetic_00001"]
    assert samples.substitute == "synthetic pictures generated from seed 3"


def test_pictures_have_several_sizes_and_every_other_one_is_upright(tmp_path):
    sizes = [row.original_size for row in read(write(tmp_path / "out"))]
    assert [height > width for height, width in sizes] == [False, True] * 3
    assert len(set(sizes)) > 2


def test_every_picture_has_objects_that_do_not_overlap(tmp_path):
    for row in read(write(tmp_path / "out")):
        boxes = np.array(row.truth["boxes"])
        assert len(boxes) > 0
        assert (iou(boxes, boxes) > 0).sum() == len(boxes)
        assert all(0 <= index < 10 for index in row.truth["classes"])


def test_box_is_where_the_colour_of_its_object_is(tmp_path):
    samples = write(tmp_path / "out")
    array = open_array(samples.path, "image")
    with array.path.open("rb", buffering=0) as file:
        for index, row in enumerate(rows.read(samples.path)):
            pixels = read_at(file, array, index)
            for box in row.truth["boxes"]:
                left, top, right, bottom = map(int, box)
                colour = pixels[:, (top + bottom) // 2, (left + right) // 2]
                same = (pixels == colour[:, None, None]).all(axis=0)
                inside = np.zeros_like(same)
                inside[top:bottom, left:right] = True
                assert (same & inside).any(axis=0).sum() == right - left
                assert (same & inside).any(axis=1).sum() == bottom - top


def test_masks_just_fill_their_boxes(tmp_path):
    for row in read(write(tmp_path / "out", replace(READER, masks=True))):
        for mask, (left, top, right, bottom) in zip(row.truth["masks"], row.truth["boxes"], strict=True):
            assert mask_tools.toBbox([mask])[0].tolist() == [left, top, right - left, bottom - top]


def test_truth_given_as_result_scores_100_percent(tmp_path):
    truths = [row.truth for row in read(write(tmp_path / "out", replace(READER, masks=True)))]
    results = [
        Boxes(
            np.array(truth["boxes"], np.float32),
            np.ones(len(truth["boxes"]), np.float32),
            np.array(truth["classes"]),
            truth["masks"],
        )
        for truth in truths
    ]
    for kind in ("bbox", "segm"):
        metric = CocoAveragePrecision(kind)
        metric.add(results, truths)
        assert metric.compute() == {name: pytest.approx(100) for name in metric.compute()} != {}


def test_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    first, second = write(tmp_path / "1"), write(tmp_path / "2")
    assert first.sha256 == second.sha256 != write(tmp_path / "3", seed=1).sha256


def test_limit_keeps_the_first_pictures_as_they_are(tmp_path):
    whole, part = write(tmp_path / "1"), write(tmp_path / "2", limit=2)
    assert read(part) == read(whole)[:2]


def test_grey_pictures_have_one_channel(tmp_path):
    samples = write(tmp_path / "out", geometry=Geometry(fit="none", channels="grey"), shape=(1, FREE, FREE))
    assert open_array(samples.path, "image").shape_of(0)[0] == 1


def test_limit_beyond_the_count_is_noted(tmp_path):
    assert write(tmp_path / "out", limit=9).note == "limit is 9, there are only 6 pictures: all of them are used"


@pytest.mark.parametrize(("name", "value"), [("count", 0), ("width", 15), ("height", "many"), ("classes", 0)])
def test_argument_out_of_bounds_is_a_problem(name, value):
    problems = replace(READER, **{name: value}).validate(request())
    assert [problem.message for problem in problems] == [f"dataset.reader.{name} is {value!r}"]


def test_pictures_that_the_model_does_not_take_are_a_problem():
    problems = READER.validate(request(shape=(3, 32, 32)))
    assert len(problems) == 1
    assert "the network takes 32x32" in problems[0].message
    assert "width" in problems[0].fix


def test_stored_bytes_are_those_of_the_pictures():
    geometry = Geometry(fit="stretch")
    assert READER.stored_bytes(request(limit=2, geometry=geometry, shape=(3, 32, 32))) == 2 * 3 * 32 * 32

from dataclasses import replace

import numpy as np
import pytest

from runner.core import TensorSpec
from runner.data import Geometry, Request, rows
from runner.data.pictures import JOURNAL
from runner.tasks.classification import SyntheticImages

GEOMETRY = Geometry(resize=32, interpolation="bilinear", crop=32, channels="rgb")
INPUTS = (TensorSpec("image", "float32", (3, 32, 32)),)


def request(limit=None, seed=0, geometry=GEOMETRY):
    return Request(INPUTS, geometry, limit, seed)


def write(out, reader=None, **options):
    out.mkdir()
    reader = reader or SyntheticImages(6, 60, 45, 10)
    return reader.write(request(**options), out, None)


def test_pictures_are_named_labelled_and_called_a_substitute(tmp_path):
    samples = write(tmp_path / "out", seed=3)
    assert rows.ids(samples.path)[:2] == ["synthetic_00000", "synthetic_00001"]
    assert all(0 <= row.truth < 10 for row in rows.read(samples.path))
    assert samples.substitute == "synthetic pictures generated from seed 3"
    assert np.load(samples.path / "image.npy").shape == (6, 3, 32, 32)


def test_only_the_array_its_rows_and_the_note_of_its_chunks_are_left_behind(tmp_path):
    assert {path.name for path in write(tmp_path / "out").path.iterdir()} == {"image.npy", rows.FILE, JOURNAL}


def test_same_seed_gives_the_same_bytes(tmp_path):
    assert write(tmp_path / "1").sha256 == write(tmp_path / "2").sha256


def test_another_seed_gives_other_pictures(tmp_path):
    assert write(tmp_path / "1").sha256 != write(tmp_path / "2", seed=1).sha256


def test_pictures_differ_from_one_another(tmp_path):
    pictures = np.load(write(tmp_path / "out").path / "image.npy").astype(int)
    assert min(np.abs(pictures[0] - other).mean() for other in pictures[1:]) > 10


def test_limit_keeps_the_first_pictures_and_labels_as_they_are(tmp_path):
    whole, part = write(tmp_path / "1"), write(tmp_path / "2", limit=2)
    assert list(rows.read(part.path)) == list(rows.read(whole.path))[:2]
    np.testing.assert_array_equal(np.load(part.path / "image.npy"), np.load(whole.path / "image.npy")[:2])


def test_limit_beyond_the_count_is_noted(tmp_path):
    samples = write(tmp_path / "out", limit=9)
    assert (samples.count, samples.note) == (6, "limit is 9, there are only 6 pictures: all of them are used")


def test_sound_arguments_have_no_problems():
    assert SyntheticImages(6, 60, 45, 10).validate(request()) == []


@pytest.mark.parametrize("name", ["count", "width", "height", "classes"])
@pytest.mark.parametrize("value", [0, "many"])
def test_argument_that_is_no_positive_number_is_a_problem(name, value):
    arguments = {"count": 6, "width": 60, "height": 45, "classes": 10, name: value}
    problems = SyntheticImages(**arguments).validate(request())
    assert [problem.message for problem in problems] == [f"dataset.reader.{name} is {value!r}"]


def test_pictures_smaller_than_the_crop_are_a_problem():
    problems = SyntheticImages(6, 60, 20, 10).validate(request(geometry=replace(GEOMETRY, resize=None)))
    assert "a picture does not fit: it is 60x20 pixels where 32x32 are cut out" in problems[0].message


def test_pictures_of_another_size_than_the_model_takes_are_a_problem():
    problems = SyntheticImages(6, 60, 45, 10).validate(request(geometry=replace(GEOMETRY, resize=None, crop=None)))
    assert "the model takes [3, 32, 32]" in problems[0].message


def test_stored_bytes_follow_the_limit():
    assert SyntheticImages(6, 60, 45, 10).stored_bytes(request(limit=2)) == 2 * 3 * 32 * 32

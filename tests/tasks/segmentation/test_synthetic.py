from itertools import pairwise

import numpy as np
import pytest

from runner.core import TensorSpec
from runner.data import Geometry, Request, storage
from runner.tasks.segmentation import SyntheticShapes

INPUTS = (TensorSpec("image", "float32", (3, 45, 60)),)


def request(limit=None, seed=0, geometry=None) -> Request:
    return Request(INPUTS, geometry or Geometry(fit="none"), limit, seed)


def write(out, reader=None, **options):
    out.mkdir()
    return (reader or SyntheticShapes(4, 60, 45, 5)).write(request(**options), out, None)


def test_pictures_have_exact_maps_and_are_called_a_substitute(tmp_path) -> None:
    samples = write(tmp_path / "out", seed=3)
    truths = [row.truth for row in storage.facts(samples.path)]
    assert all(truth.shape == (45, 60) and truth.max() < 5 for truth in truths)
    assert samples.substitute == "synthetic pictures generated from seed 3"


def test_colours_tell_the_classes(tmp_path) -> None:
    samples = write(tmp_path / "out")
    pixels = np.load(samples.path / "image.npy").astype(int).transpose(0, 2, 3, 1)
    for row, picture in zip(storage.facts(samples.path), pixels, strict=True):
        present = np.unique(row.truth)
        means = [picture[row.truth == each].mean(axis=0) for each in present]
        assert all(np.abs(one - other).max() > 30 for one, other in pairwise(means))


def test_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path) -> None:
    digests = [write(tmp_path / str(index), seed=seed).sha256 for index, seed in enumerate((4, 4, 5))]
    assert digests[0] == digests[1] != digests[2]


def test_one_channel_tells_two_classes(tmp_path) -> None:
    samples = write(tmp_path / "out", SyntheticShapes(4, 60, 45, 1))
    assert {int(value) for row in storage.facts(samples.path) for value in np.unique(row.truth)} == {0, 1}


@pytest.mark.parametrize("name", ["count", "width", "height", "classes"])
def test_argument_that_is_no_positive_number_is_a_problem(name) -> None:
    arguments = {"count": 4, "width": 60, "height": 45, "classes": 5, name: 0}
    problems = SyntheticShapes(**arguments).validate(request())
    assert [problem.message for problem in problems] == [f"dataset.reader.{name} is 0"]


def test_pictures_that_do_not_fit_the_network_are_a_problem() -> None:
    (problem,) = SyntheticShapes(4, 80, 45, 5).validate(request())
    assert "a picture does not fit: it is 80x45 pixels" in problem.message
    (problem,) = SyntheticShapes(4, 60, 45, 5).validate(request(geometry=Geometry(resize=20)))
    assert "become 26x20 by model.preprocess, and the model takes [3, 45, 60]" in problem.message

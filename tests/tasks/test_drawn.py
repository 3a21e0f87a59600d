from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from runner.core import FREE, TensorSpec
from runner.data import Geometry, Request, rows
from runner.tasks.drawn import DrawnPictures


@dataclass(frozen=True)
class Greys(DrawnPictures):
    """Plain pictures in the grey of their index, every picture one row lower than the one before."""

    things = "greys"

    def _size(self, seed: int, item: str) -> tuple[int, int]:
        return self.height + int(item), self.width

    def _draw(self, seed: int, item: str) -> Image.Image:
        height, width = self._size(seed, item)
        return Image.new("RGB", (width, height), (int(item),) * 3)


def request(limit=None, shape=(3, FREE, 4), geometry=None) -> Request:
    return Request((TensorSpec("image", "float32", shape),), geometry or Geometry(fit="none"), limit, 7)


def test_pictures_are_numbered_in_order_and_called_a_substitute(tmp_path) -> None:
    samples = Greys(3, 4, 2).write(request(limit=2), tmp_path, None)
    assert rows.ids(tmp_path) == ["synthetic_00000", "synthetic_00001"]
    assert samples.substitute == "synthetic greys generated from seed 7"


def test_a_grey_model_gets_one_channel(tmp_path) -> None:
    geometry = Geometry(fit="stretch", channels="grey")
    Greys(2, 4, 2).write(request(shape=(1, 2, 4), geometry=geometry), tmp_path, None)
    np.testing.assert_array_equal(np.load(tmp_path / "image.npy")[:, 0, 0, 0], [0, 1])


def test_each_size_among_the_wanted_pictures_is_judged() -> None:
    reader = Greys(3, 4, 2)
    assert reader.validate(request()) == reader.validate(request(limit=1, shape=(3, 2, 4))) == []
    (problem,) = reader.validate(request(shape=(3, 2, 4)))
    assert problem.message == "a picture does not fit: it is 4x3 pixels, and the network takes 4x2"


def test_a_size_that_the_model_does_not_take_is_told_with_what_it_takes() -> None:
    (problem,) = Greys(1, 4, 2).validate(request(shape=(3, FREE, 9), geometry=Geometry(resize=4)))
    assert problem.message == "pictures of 4x2 become 8x4 by model.preprocess, and the model takes [3, any, 9]"


@pytest.mark.parametrize("name", ["count", "width", "height"])
def test_argument_that_is_no_positive_number_is_a_problem(name) -> None:
    problems = Greys(**{"count": 1, "width": 4, "height": 2, name: 0}).validate(request())
    assert [problem.message for problem in problems] == [f"dataset.reader.{name} is 0"]


@pytest.mark.parametrize("name", ["count", "width", "height"])
def test_more_than_memory_holds_is_a_problem_before_anything_is_listed(name) -> None:
    problems = Greys(**{"count": 1, "width": 4, "height": 2, name: 10**12}).validate(request())
    assert [problem.message for problem in problems] == [f"dataset.reader.{name} is 1000000000000"]

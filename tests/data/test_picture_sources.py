"""Which pictures a model takes, known before one is read."""

import pytest

from runner.core import FREE, TensorSpec
from runner.data import Geometry, Request, picture_problems, size_problem


def request(geometry, shape):
    return Request((TensorSpec("image", "float32", shape),), geometry, None, 0)


@pytest.mark.parametrize(
    ("shape", "channels", "sound"),
    [
        ((3, 8, 8), "rgb", True),
        ((3, FREE, FREE), "bgr", True),
        ((1, 8, 8), "grey", True),
        ((1, 8, 8), "rgb", False),
        ((3, 8, 8), "grey", False),
        ((3, 8), "rgb", False),
    ],
)
def test_pictures_are_for_models_with_as_many_channels(shape, channels, sound):
    asked = request(Geometry(channels=channels), shape)
    assert (picture_problems(asked) == []) is sound


@pytest.mark.parametrize(("channels", "shape", "fix"), [("rgb", (1, 4, 4), "grey"), ("grey", (3, 4, 4), "rgb or bgr")])
def test_pictures_of_other_channels_name_the_key(channels, shape, fix):
    asked = request(Geometry(channels=channels), shape)
    assert [problem.fix for problem in picture_problems(asked)] == [f"set model.preprocess.channels={fix}"]


@pytest.mark.parametrize(
    ("geometry", "told"),
    [
        (Geometry(fit="stretch"), None),
        (Geometry(), "pictures of 3x2 become 3x2 by model.preprocess, and the model takes [3, 16, 16]"),
        (Geometry(resize=1, crop=16), "a picture does not fit: it is 1x1 pixels where 16x16 are cut out"),
    ],
)
def test_a_size_that_does_not_become_the_networks_is_a_problem(geometry, told):
    problem = size_problem((2, 3), request(geometry, (3, 16, 16)))
    assert (problem and problem.message) == told

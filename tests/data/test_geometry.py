"""How pictures of any size become rows: where they are placed, what surrounds them, and the way back."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from runner.config.schema import PreprocessConfig
from runner.core import FREE, DataError, TensorSpec, bounds
from runner.data import Geometry, Normalisation, geometry_problems, place
from runner.data.preprocess import fit_picture

ANY = (FREE, FREE)
IDENTITY = Normalisation(1.0, (0.0,), (1.0,))
NONE, INSIDE = Geometry(fit="none"), Geometry(fit="inside")
TILED = Geometry(fit="none", tile=(40, 50), overlap=10)


def only(size, geometry, wanted=ANY):
    """How a picture that becomes one row is placed."""
    (placed,) = place(size, geometry, wanted)
    return placed


def picture_of(height, width, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("geometry", "wanted", "resized", "padding"),
    [
        (Geometry(), ANY, (60, 90), (0, 0, 0, 0)),
        (Geometry(resize=30), ANY, (30, 45), (0, 0, 0, 0)),
        (Geometry(resize=30, crop=20), (20, 20), (30, 45), (-5, -12, -5, -13)),
        (Geometry(resize=30, keep_ratio=False), ANY, (30, 30), (0, 0, 0, 0)),
        (Geometry(size=(40, 40)), (40, 40), (40, 60), (0, -10, 0, -10)),
        (Geometry(fit="stretch"), (32, 16), (32, 16), (0, 0, 0, 0)),
        (Geometry(fit="stretch"), (32, FREE), (32, 90), (0, 0, 0, 0)),
        (Geometry(fit="stretch", size=(20, 24)), ANY, (20, 24), (0, 0, 0, 0)),
        (INSIDE, (45, 45), (30, 45), (7, 0, 8, 0)),
        (INSIDE, (120, 200), (120, 180), (0, 10, 0, 10)),
        (replace(INSIDE, pad="corner"), (45, 45), (30, 45), (0, 0, 15, 0)),
        (replace(INSIDE, size=(30, 45)), (64, 64), (30, 45), (17, 9, 17, 10)),
        (INSIDE, (30, FREE), (30, 45), (0, 0, 0, 0)),
        (replace(INSIDE, multiple=32, pad="corner"), (30, FREE), (30, 45), (0, 0, 0, 19)),
        (NONE, (64, 96), (60, 90), (2, 3, 2, 3)),
        (replace(NONE, pad="corner"), (64, 96), (60, 90), (0, 0, 4, 6)),
        (replace(NONE, multiple=32), ANY, (60, 90), (2, 3, 2, 3)),
        (replace(NONE, multiple=30), ANY, (60, 90), (0, 0, 0, 0)),
    ],
)
def test_a_picture_of_60_by_90_is_resized_and_padded(geometry, wanted, resized, padding):
    placed = only((60, 90), geometry, wanted)
    assert (placed.resized_size, placed.padding) == (resized, padding)


@pytest.mark.parametrize("size", [(60, 90), (91, 33), (1, 500)])
@pytest.mark.parametrize("geometry", [Geometry(fit="stretch"), INSIDE, Geometry(size=(40, 56))])
def test_a_row_has_the_size_that_the_network_takes(geometry, size):
    placed = only(size, geometry, (40, 56))
    row = fit_picture(picture_of(*size), placed, geometry)
    assert (placed.size, row.shape, row.flags.c_contiguous) == ((40, 56), (3, 40, 56), True)


@pytest.mark.parametrize("size", [(60, 90), (91, 33), (64, 64), (31, 200)])
def test_free_axes_are_multiples_and_no_larger_than_needed(size):
    height, width = only(size, replace(NONE, multiple=32)).size
    assert (height % 32, width % 32) == (0, 0)
    assert 0 <= height - size[0] < 32
    assert 0 <= width - size[1] < 32


@pytest.mark.parametrize("pad", ["centre", "corner"])
def test_padding_surrounds_the_untouched_picture_with_one_value_per_channel(pad):
    geometry = Geometry(fit="none", pad=pad, pad_value=(10, 20, 30))
    picture = picture_of(4, 6)
    row = fit_picture(picture, only((4, 6), geometry, (8, 8)), geometry)
    top, left = (2, 1) if pad == "centre" else (0, 0)
    expected = np.empty((3, 8, 8), np.uint8)
    expected[:] = np.reshape([10, 20, 30], (3, 1, 1))
    expected[:, top : top + 4, left : left + 6] = np.asarray(picture).transpose(2, 0, 1)
    np.testing.assert_array_equal(row, expected)


def test_one_value_pads_all_channels():
    geometry = Geometry(fit="none", pad="corner", pad_value=(114,))
    assert fit_picture(picture_of(1, 1), only((1, 1), geometry, (2, 2)), geometry)[:, 1, 1].tolist() == [114] * 3


def test_values_of_padding_are_in_the_order_of_the_stored_channels():
    geometry = Geometry(fit="none", pad="corner", channels="bgr", pad_value=(1, 2, 3))
    picture = Image.new("RGB", (1, 1), (70, 80, 90))
    row = fit_picture(picture, only((1, 1), geometry, (1, 2)), geometry)
    assert row[:, 0].tolist() == [[90, 1], [80, 2], [70, 3]]


def test_a_grey_picture_has_one_channel():
    geometry = Geometry(fit="none", channels="grey", pad="corner", pad_value=(7,))
    row = fit_picture(Image.new("L", (2, 1), 90), only((1, 2), geometry, (2, 2)), geometry)
    assert row.tolist() == [[[90, 90], [7, 7]]]


@pytest.mark.parametrize("overlap", [0, 10, 39])
@pytest.mark.parametrize("size", [(41, 50), (100, 130), (40, 51), (97, 50), (200, 49)])
def test_tiles_cover_the_whole_picture_and_overlap_at_least_as_asked(size, overlap):
    tiles = place(size, replace(TILED, overlap=overlap), ANY)
    covered = np.zeros(size, int)
    tops, lefts = set(), set()
    for tile in tiles:
        assert tile.size == (40, 50)
        top, left, bottom, right = tile.padding
        covered[max(0, -top) : size[0] + min(0, bottom), max(0, -left) : size[1] + min(0, right)] += 1
        tops.add(-top)
        lefts.add(-left)
    assert covered.min() >= 1
    assert len(set(tiles)) == len(tiles)
    for starts, side in ((sorted(tops), 40), (sorted(lefts), 50)):
        assert all(after - before <= side - overlap for before, after in pairwise(starts))


def test_tiles_hold_the_pixels_of_their_part():
    picture = picture_of(70, 80)
    pixels = np.asarray(picture).transpose(2, 0, 1)
    for tile in place((70, 80), TILED, ANY):
        top, left = -tile.padding[0], -tile.padding[1]
        np.testing.assert_array_equal(fit_picture(picture, tile, TILED), pixels[:, top : top + 40, left : left + 50])


def test_a_tile_is_padded_where_the_picture_is_narrower():
    tiles = place((70, 30), TILED, ANY)
    assert [tile.padding for tile in tiles] == [(0, 0, -30, 20), (-30, 0, 0, 20)]
    row = fit_picture(picture_of(70, 30), tiles[1], TILED)
    assert (row.shape, row[:, :, 30:].max()) == ((3, 40, 50), 0)


def test_a_picture_that_fits_a_tile_is_one_row():
    assert [placed.padding for placed in place((40, 50), TILED, (40, 50))] == [(0, 0, 0, 0)]


@pytest.mark.parametrize(
    ("geometry", "wanted"),
    [
        (Geometry(resize=10, crop=8), (8, 8)),
        (Geometry(size=(24, 24)), (24, 24)),
        (Geometry(fit="stretch"), (50, 16)),
        (INSIDE, (64, 64)),
        (replace(INSIDE, pad="corner"), (64, 64)),
        (replace(NONE, multiple=32), ANY),
        (Geometry(fit="none", tile=(8, 9), overlap=2), ANY),
    ],
)
def test_points_of_a_row_map_back_to_the_picture(geometry, wanted):
    """The pixels of the picture tell where they are: a step down is 10 grey levels of red, a step right 8 of green."""
    down, right = np.mgrid[0:20, 0:30]
    picture = Image.fromarray(np.stack([10 * down, 8 * right, 0 * down], axis=2).astype(np.uint8))
    for placed in place((20, 30), geometry, wanted):
        row = fit_picture(picture, placed, geometry)
        centres = np.moveaxis(np.mgrid[0 : row.shape[1], 0 : row.shape[2]], 0, -1) + 0.5
        points = (centres - placed.padding[:2]) / placed.scale
        inside = ((points > 2) & (points < (18, 28))).all(axis=-1)  # interpolation bends what lies at the borders
        assert inside.any()
        seen = row[:2].transpose(1, 2, 0)[inside] / (10, 8) + 0.5
        np.testing.assert_allclose(seen, points[inside], atol=0.15)


def test_a_picture_larger_than_the_network_takes_is_refused_with_both_sizes():
    with pytest.raises(DataError, match=r"it is 90x60 pixels, and the network takes 90x50\n.*fit=inside.*tile"):
        place((60, 90), NONE, (50, 90))


def problems_of(geometry, shape=(3, 64, 64)):
    found = geometry_problems(geometry, IDENTITY, [TensorSpec("image", "float32", shape)])
    assert all(problem.fix for problem in found)
    return [problem.message for problem in found]


@pytest.mark.parametrize(
    ("geometry", "shape"),
    [
        (Geometry(size=(64, 64)), (3, 64, 64)),
        (INSIDE, (3, 64, 64)),
        (replace(INSIDE, size=(60, 60), pad_value=(1, 2, 3)), (3, 64, 64)),
        (replace(NONE, multiple=32), (3, FREE, FREE)),
        (Geometry(fit="none", tile=(64, 64), overlap=63), (3, 64, 64)),
        (Geometry(channels="grey", crop=64, resize=64), (1, 64, 64)),
        (Geometry(size=(20, 30)), (3, FREE, FREE)),
    ],
)
def test_a_sound_geometry_has_no_problems(geometry, shape):
    assert problems_of(geometry, shape) == []


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (replace(INSIDE, resize=64), "model.preprocess.resize is 64 beside fit inside"),
        (replace(NONE, crop=64), "model.preprocess.crop is 64 beside fit none"),
        (Geometry(size=(64, 64), resize=70), "model.preprocess.resize is 70 beside a model.preprocess.size"),
        (replace(INSIDE, pad_value=(1, 2)), "model.preprocess.pad_value is [1, 2]"),
        (replace(INSIDE, pad_value=(256,)), "model.preprocess.pad_value is [256]"),
        (replace(INSIDE, channels="grey", pad_value=(1, 2, 3)), "model.preprocess.pad_value is [1, 2, 3]"),
        (Geometry(tile=(64, 64)), "model.preprocess.tile is given with fit shorter"),
        (
            Geometry(fit="none", tile=(64, 64), overlap=64),
            "model.preprocess.overlap is 64, and tiles are [64, 64]",
        ),
        (
            Geometry(fit="none", tile=(64, 32)),
            "model.preprocess.tile [64, 32] makes pictures [3, 64, 32], input 'image' takes [3, 64, 64]",
        ),
        (
            Geometry(size=(64, 32)),
            "model.preprocess.size [64, 32] makes pictures [3, 64, 32], input 'image' takes [3, 64, 64]",
        ),
        (
            Geometry(channels="grey", crop=64),
            "model.preprocess.crop 64 makes pictures [1, 64, 64], input 'image' takes [3, 64, 64]",
        ),
    ],
)
def test_a_contradiction_is_one_problem(geometry, message):
    assert problems_of(geometry) == [message]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fit": "longer"}, "model.preprocess.fit is 'longer'"),
        ({"pad": "center"}, "model.preprocess.pad is 'center'"),
        ({"channels": "gray"}, "model.preprocess.channels is 'gray'"),
        ({"multiple": 0}, "model.preprocess.multiple is 0"),
        ({"overlap": -1}, "model.preprocess.overlap is -1"),
    ],
)
def test_a_value_out_of_bounds_is_named(values, message):
    (problem,) = bounds.problems(PreprocessConfig(**values), "model.preprocess")
    assert problem.message == message

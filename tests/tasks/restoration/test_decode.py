import numpy as np
import pytest

from runner.core import FREE, ConfigError, DataError, TensorSpec
from runner.data import Geometry, Request, Row, storage
from runner.tasks.restoration import Picture, Psnr, SyntheticTextures


def row(size=(2, 3), padding=(0, 0, 0, 0), sample=None, name="a"):
    return Row(id=name, sample=sample, original_size=size, scale=(1.0, 1.0), padding=padding)


def decode(values, rows=None, **arguments):
    values = np.asarray(values, np.float32)
    rows = rows or [row(values.shape[2:])]
    return Picture(**arguments)({"out": values}, rows)


def outputs_of(truth, row, scale):
    """The output that a perfect network gives for a row: the truth in 0..1, padded with a value that is no pixel's."""
    top, left, bottom, right = (side * scale for side in row.padding)
    kept = truth[:, max(0, -top) : truth.shape[1] + min(0, bottom), max(0, -left) : truth.shape[2] + min(0, right)]
    around = ((0, 0), *((max(0, before), max(0, after)) for before, after in ((top, bottom), (left, right))))
    return np.pad(kept / np.float32(255), around, constant_values=9)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(
    "geometry",
    [{}, {"multiple": 32}, {"multiple": 32, "pad": "corner"}, {"tile": (24, 40), "overlap": 6}, {"tile": (96, 20)}],
)
def test_truth_through_the_decoder_is_exact(tmp_path, geometry, scale):
    reader = SyntheticTextures(count=2, width=70, height=45, factor=scale)
    tensor = TensorSpec("image", "float32", (3, FREE, FREE))
    samples = reader.write(Request((tensor,), Geometry(fit="none", **geometry), None, 0), tmp_path, None)
    rows = list(storage.facts(samples.path))
    truths = {each.sample_id: each.truth for each in rows if each.truth is not None}
    outputs = np.stack([outputs_of(truths[each.sample_id], each, scale) for each in rows])
    results = Picture(scale=scale)({"out": outputs}, rows)
    assert len(results) == 2
    metric = Psnr()
    metric.add(results, list(truths.values()))
    assert metric.compute() == {"psnr": 100.0}


def test_result_is_clipped_to_bytes_and_not_rounded():
    (result,) = decode([[[[-1.0, 0.5, 2.0]]]])
    assert result.dtype == np.float32
    assert result.tolist() == [[[0.0, 127.5, 255.0]]]


def test_round_makes_whole_numbers():
    assert decode([[[[0.1, 0.499]]]], round=True)[0].tolist() == [[[26.0, 127.0]]]


def test_range_is_what_black_and_white_are():
    assert decode([[[[-1.0, 0.0, 1.0]]]], range=[-1, 1])[0].tolist() == [[[0.0, 127.5, 255.0]]]


def test_output_in_bytes_is_taken_as_it_is():
    assert decode([[[[0.0, 7.25, 255.0]]]], range=[0, 255])[0].tolist() == [[[0.0, 7.25, 255.0]]]


def test_bgr_becomes_rgb():
    values = np.array([0.0, 0.2, 1.0], np.float32).reshape(1, 3, 1, 1)
    assert decode(values, channels="bgr")[0].ravel().tolist() == pytest.approx([255.0, 51.0, 0.0])


def test_half_precision_becomes_float32():
    assert Picture()({"out": np.ones((1, 1, 2, 3), np.float16)}, [row()])[0].dtype == np.float32


def test_outputs_are_left_unchanged():
    values = np.full((1, 1, 2, 3), 0.5, np.float32)
    Picture()({"out": values}, [row()])
    assert (values == 0.5).all()


def test_seam_lies_in_the_middle_of_the_overlap():
    # Tiles of 4 columns over 6: the first is columns 0 to 3, the second 2 to 5, so they meet between 2 and 3.
    rows = [row((1, 6), (0, -start, 0, start + 4 - 6), "a", f"a#{index}") for index, start in enumerate((0, 2))]
    values = np.stack([np.zeros((1, 1, 4)), np.ones((1, 1, 4))])
    assert decode(values, rows)[0].tolist() == [[[0, 0, 0, 255, 255, 255]]]


def test_tiles_of_one_sample_are_one_result_and_others_follow():
    tiles = [row((1, 3), (0, -start, 0, start - 1), "a", f"a#{start}") for start in (0, 1)]
    values = np.array([[0.0, 0.2], [0.4, 0.6], [0.8, 1.0]], np.float32).reshape(3, 1, 1, 2)
    results = decode(values, [*tiles, row((1, 2), name="b")])
    assert [result.ravel().tolist() for result in results] == [
        pytest.approx([0.0, 102.0, 153.0]),
        pytest.approx([204.0, 255.0]),
    ]


def test_output_of_another_scale_is_refused():
    with pytest.raises(DataError, match=r"makes 6x4 pixels of the 3x2 of a, and model\.decode\.scale is 4"):
        decode(np.zeros((1, 3, 4, 6)), [row((2, 3))], scale=4)


@pytest.mark.parametrize("shape", [(1, 1000), (1, 2, 4, 4)])
def test_output_that_is_no_picture_is_refused(shape):
    with pytest.raises(DataError, match="not pictures"):
        decode(np.zeros(shape), [row()])


def test_samples_that_are_no_pictures_are_refused():
    with pytest.raises(DataError, match="sample a is no picture"):
        decode(np.zeros((1, 1, 2, 3)), [Row(id="a")])


@pytest.mark.parametrize("arguments", [{"scale": 0}, {"range": [1, 1]}, {"channels": "grey"}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ConfigError, match=r"model\.decode"):
        Picture(**arguments)

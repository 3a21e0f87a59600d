import io
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from runner.config.schema import PreprocessConfig
from runner.core import FREE, DataError, TensorSpec, bounds
from runner.data import Geometry, Normalisation, geometry_problems, normalise, open_picture, picture_size, place
from runner.data.preprocess import fit_picture

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GUIDES = {
    "pnasnet": (
        Geometry(resize=363, interpolation="bicubic", crop=331, channels="rgb"),
        Normalisation(1 / 255, (0.5,), (0.5,)),
    ),
    "dpn131": (
        Geometry(resize=256, interpolation="bilinear", crop=224, channels="rgb"),
        Normalisation(1 / 255, (0.486, 0.459, 0.408), (0.235, 0.235, 0.235)),
    ),
    "moco": (
        Geometry(resize=256, interpolation="bicubic", crop=224, channels="rgb"),
        Normalisation(1 / 255, IMAGENET_MEAN, IMAGENET_STD),
    ),
    "caffe": (
        Geometry(resize=256, interpolation="bilinear", crop=227, channels="bgr"),
        Normalisation(1.0, (104.0, 117.0, 123.0), (1.0,)),
    ),
}
PLAIN = Geometry(resize=None, interpolation="bilinear", crop=None, channels="rgb")
STRETCHED = Geometry(resize=64, interpolation="bicubic", crop=None, channels="rgb", keep_ratio=False)
IDENTITY = Normalisation(1.0, (0.0,), (1.0,))


def load(source, geometry, wanted=(FREE, FREE)):
    """The only row of a picture: uint8 [channels, height, width]."""
    picture = open_picture(source, geometry.channels)
    (placed,) = place((picture.height, picture.width), geometry, wanted)
    row = fit_picture(picture, placed, geometry)
    assert row.shape[1:] == placed.size
    return row


def save_picture(path, width, height, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def guides_way(path, geometry, normalisation):
    """The guides' script in PIL and numpy: (cropped uint8 [3, H, W], normalised float32 [3, H, W])."""
    picture = Image.open(path).convert("RGB")
    width, height = picture.size
    size, filter_ = geometry.resize, getattr(Image, geometry.interpolation.upper())
    if (width <= height and width == size) or (height <= width and height == size):
        pass
    elif width < height:
        picture = picture.resize((size, int(size * height / width)), filter_)
    else:
        picture = picture.resize((int(size * width / height), size), filter_)
    left = round((picture.size[0] - geometry.crop) / 2.0)
    top = round((picture.size[1] - geometry.crop) / 2.0)
    values = np.array(picture.crop((left, top, left + geometry.crop, top + geometry.crop)))
    if geometry.channels == "bgr":
        values = values[..., ::-1]
    values = values.transpose(2, 0, 1)
    floats = np.array(values, dtype=np.float32)
    if normalisation.scale != 1:
        floats = floats / 255.0
    floats = floats - np.array(normalisation.mean, dtype=np.float32).reshape(-1, 1, 1)
    return values, floats / np.array(normalisation.std, dtype=np.float32).reshape(-1, 1, 1)


@pytest.mark.parametrize("size", [(500, 375), (333, 517), (256, 256), (256, 301), (90, 71)])
@pytest.mark.parametrize("guide", GUIDES)
def test_pictures_and_values_are_those_of_the_guides(tmp_path, guide, size):
    geometry, normalisation = GUIDES[guide]
    path = save_picture(tmp_path / "picture.jpg", *size)
    stored, floats = guides_way(path, geometry, normalisation)
    loaded = load(path, geometry)
    np.testing.assert_array_equal(loaded, stored)
    np.testing.assert_allclose(normalise(loaded[None], normalisation)[0], floats, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(500, 375), (333, 517), (256, 301), (90, 71)])
def test_picture_without_its_ratio_is_stretched_to_a_square_and_cropped(tmp_path, size):
    path = save_picture(tmp_path / "picture.jpg", *size)
    stretched = Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)
    expected = np.asarray(stretched.crop((8, 8, 56, 56))).transpose(2, 0, 1)
    np.testing.assert_array_equal(load(path, replace(STRETCHED, crop=48)), expected)
    whole = np.asarray(stretched).transpose(2, 0, 1)
    np.testing.assert_array_equal(load(path, STRETCHED), whole)


def test_square_picture_that_fits_is_not_resampled(tmp_path):
    path = save_picture(tmp_path / "picture.png", 64, 64)
    loaded = load(path, STRETCHED)
    np.testing.assert_array_equal(loaded, np.asarray(Image.open(path)).transpose(2, 0, 1))


def test_stored_picture_is_contiguous_uint8_channels_first(tmp_path):
    loaded = load(save_picture(tmp_path / "picture.png", 30, 20), PLAIN)
    assert (loaded.dtype, loaded.shape, loaded.flags.c_contiguous) == (np.uint8, (3, 20, 30), True)


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "1", "LA"])
def test_every_colour_mode_becomes_three_channels(tmp_path, mode):
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    Image.new(mode, (20, 20)).save(path)
    assert load(path, PLAIN).shape == (3, 20, 20)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_of_grey_with_16_bits_the_upper_8_are_taken(tmp_path, suffix):
    values = np.array([[0, 255, 256], [0x1234, 0xFEFF, 0xFFFF]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"deep.{suffix}")
    for channels in ("grey", "rgb"):
        read = np.asarray(open_picture(tmp_path / f"deep.{suffix}", channels)).reshape(6, -1)
        assert read[:, 0].tolist() == [0, 0, 1, 0x12, 0xFE, 0xFF]


@pytest.mark.parametrize(("dtype", "mode"), [(np.int32, "I"), (np.float32, "F")])
def test_picture_of_32_bits_whose_white_is_unknown_is_refused(tmp_path, dtype, mode):
    path = tmp_path / "deep.tif"
    Image.fromarray(np.ones((4, 4), dtype)).save(path)
    with pytest.raises(DataError, match=f"deep.tif is of mode {mode}, numbers of 32 bits"):
        open_picture(path)


def test_truncated_jpeg_is_refused_by_name(tmp_path):
    path = save_picture(tmp_path / "cut.jpg", 200, 200)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"cut\.jpg is not a readable picture.*truncated"):
        load(path, PLAIN)


def test_what_is_no_picture_is_refused_by_name(tmp_path):
    path = tmp_path / "text.jpg"
    path.write_text("not a picture")
    with pytest.raises(DataError, match=r"text\.jpg is not a readable picture"):
        load(path, PLAIN)


def test_picture_that_pil_would_only_warn_of_as_a_bomb_is_refused(tmp_path, monkeypatch):
    path = save_picture(tmp_path / "bomb.png", 40, 40)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with warnings.catch_warnings(), pytest.raises(DataError, match=r"bomb\.png.*1600 pixels"):
        warnings.simplefilter("ignore")
        load(path, PLAIN)


@pytest.mark.parametrize("size", [(1, 60_000), (60_000, 1)])
@pytest.mark.parametrize("crop", [None, 224])
def test_strip_that_would_be_resized_to_billions_of_pixels_is_refused(size, crop):
    with pytest.raises(DataError, match=f"it is {size[1]}x{size[0]} pixels and would be resized to"):
        place(size, replace(PLAIN, resize=256, crop=crop), (FREE, FREE))


def test_bomb_of_a_few_bytes_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "bomb.ppm"
    path.write_bytes(b"P6 60000 60000 255\n")
    with pytest.raises(DataError, match=r"bomb\.ppm.*3600000000 pixels"):
        load(path, PLAIN)


def test_size_is_read_without_decoding_the_picture(tmp_path):
    path = save_picture(tmp_path / "cut.png", 300, 200)
    path.write_bytes(path.read_bytes()[:1000])
    assert picture_size(path) == (200, 300)


def test_size_of_what_is_no_picture_is_refused_by_name(tmp_path):
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(DataError, match=r"text\.jpg is not a readable picture"):
        picture_size(tmp_path / "text.jpg")


def test_picture_smaller_than_the_crop_is_refused_with_both_sizes():
    with pytest.raises(DataError, match="it is 100x40 pixels where 64x64 are cut out"):
        place((40, 100), replace(PLAIN, crop=64), (64, 64))


def test_picture_is_read_from_memory_too(tmp_path):
    path = save_picture(tmp_path / "picture.png", 30, 20)
    np.testing.assert_array_equal(load(io.BytesIO(path.read_bytes()), PLAIN), load(path, PLAIN))


def test_identity_returns_float32_itself():
    stored = np.ones((2, 5), np.float32)
    assert normalise(stored, IDENTITY) is stored


def test_identity_turns_raw_bytes_into_floats():
    values = normalise(np.array([[[0]], [[255]]], np.uint8), IDENTITY)
    assert values.dtype == np.float32
    assert values.ravel().tolist() == [0.0, 255.0]


def test_floats_are_normalised_without_changing_what_is_stored():
    stored = np.full((1, 2, 3), 4.0, np.float32)
    values = normalise(stored, Normalisation(0.5, (1.0, 2.0), (2.0, 4.0)))
    np.testing.assert_allclose(values[0, :, 0], [0.5, 0.0])
    assert (stored == 4).all()


def test_one_mean_serves_any_number_of_axes():
    assert normalise(np.array([3, 5], np.uint8), Normalisation(1.0, (1.0,), (2.0,))).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", GUIDES)
def test_preprocessing_of_the_guides_has_no_problems(name):
    geometry, normalisation = GUIDES[name]
    inputs = [TensorSpec("image", "float32", (3, geometry.crop, geometry.crop))]
    assert geometry_problems(geometry, normalisation, inputs) == []


@pytest.mark.parametrize(
    ("geometry", "normalisation", "message", "fix"),
    [
        (
            replace(PLAIN, resize=200, crop=224),
            IDENTITY,
            "crop 224 is larger than model.preprocess.resize 200",
            "at most the shorter side",
        ),
        (replace(PLAIN, resize=256, crop=225), IDENTITY, "takes [3, 224, 224]", "model.inputs"),
        (replace(PLAIN, keep_ratio=False), IDENTITY, "keep_ratio is false without", "resize the side"),
        (PLAIN, Normalisation(1.0, (0.0,), (1.0, 0.0, 1.0)), "cannot be divided by 0", "[1.0] for none"),
        (
            PLAIN,
            Normalisation(1.0, (0.0, 0.0), (1.0,)),
            "mean has 2 values, input 'image' has 3 channels",
            "or one a channel",
        ),
        (PLAIN, Normalisation(1.0, (0.0,), (1.0,) * 4), "std has 4 values", "one value, or one a channel"),
        (PLAIN, Normalisation(float("nan"), (0.0,), (1.0,)), "model.preprocess.scale is to be set", "(1/255) where"),
        (PLAIN, Normalisation(float("inf"), (0.0,), (1.0,)), "scale is [inf]", "finite"),
        (PLAIN, Normalisation(1.0, (0.0,), (float("inf"),)), "std is [inf]", "finite"),
    ],
)
def test_problem_is_named_with_its_value_and_its_fix(geometry, normalisation, message, fix):
    problems = geometry_problems(geometry, normalisation, [TensorSpec("image", "float32", (3, 224, 224))])
    assert len(problems) == 1
    assert message in problems[0].message
    assert fix in problems[0].fix


@pytest.mark.parametrize(
    ("values", "message", "fix"),
    [
        ({"interpolation": "bicubik"}, "model.preprocess.interpolation is 'bicubik'", "did you mean bicubic?"),
        ({"interpolation": "zzz"}, "model.preprocess.interpolation is 'zzz'", "lanczos, box, hamming"),
        ({"channels": "RGB"}, "model.preprocess.channels is 'RGB'", "rgb, bgr"),
        ({"resize": 0}, "model.preprocess.resize is 0", "at least 1"),
        ({"crop": -1}, "model.preprocess.crop is -1", "at least 1"),
    ],
)
def test_value_out_of_bounds_is_named_with_its_fix(values, message, fix):
    (problem,) = bounds.problems(PreprocessConfig(**values), "model.preprocess")
    assert problem.message == message
    assert fix in problem.fix


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"])
def test_every_interpolation_of_pil_may_be_chosen(interpolation):
    assert list(bounds.problems(PreprocessConfig(interpolation=interpolation))) == []


def test_all_problems_are_found_at_once():
    geometry, normalisation = replace(PLAIN, resize=256, crop=300), Normalisation(1.0, (0.0, 0.0), (0.0,))
    problems = geometry_problems(geometry, normalisation, [TensorSpec("i", "float32", (3, 2, 2))])
    assert len(problems) == 4


def test_all_values_out_of_bounds_are_found_at_once():
    config = PreprocessConfig(resize=256, crop=300, interpolation="x", channels="y")
    assert len(list(bounds.problems(config, "model.preprocess"))) == 2

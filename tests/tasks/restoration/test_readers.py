import numpy as np
import pytest
from PIL import Image

from runner.core import FREE, DataError, TensorSpec
from runner.data import Geometry, Request, storage
from runner.tasks.restoration import NoisyPictures, PicturePairs, ShrunkPictures

FREE_SIZES = (FREE, FREE)


def request(channels="rgb", limit=None, seed=0, takes=FREE_SIZES, **geometry):
    tensor = TensorSpec("image", "float32", (1 if channels == "grey" else 3, *takes))
    return Request((tensor,), Geometry(**{"fit": "none", "channels": channels} | geometry), limit, seed)


def save(path, width=12, height=8, seed=0, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return np.asarray(Image.open(path))


def written(reader, out, **options):
    out.mkdir(exist_ok=True)
    asked = request(**options)
    assert reader.validate(asked) == []
    return reader.write(asked, out, None)


def truths(samples):
    return [row.truth for row in storage.facts(samples.path)]


def stored(samples, index):
    array = storage.open_array(samples.path, "image")
    with array.path.open("rb", buffering=0) as file:
        return storage.read_at(file, array, index)


def hash_files(folder, files):
    return [f"{folder.name}/{file}" for file in files]


def problem(reader, **options):
    problems = reader.validate(request(**options))
    assert len(problems) == 1 and problems[0].fix
    return problems[0].message


def pair_up(root, small=(4, 6), large=(8, 12), name="a.png"):
    save(root / "data" / name, small[1], small[0])
    return save(root / "target" / name, large[1], large[0])


def test_noise_has_the_sigma_and_no_mean(tmp_path):
    clean = save(tmp_path / "a.png", 300, 200)
    samples = written(NoisyPictures(str(tmp_path), sigma=25.0), tmp_path / "out")
    noise = stored(samples, 0) - clean.transpose(2, 0, 1)
    assert noise.dtype == np.float32
    assert noise.mean() == pytest.approx(0, abs=0.3)
    assert noise.std() == pytest.approx(25, abs=0.3)


def test_noisy_values_are_not_clipped_and_still_to_be_normalised(tmp_path):
    save(tmp_path / "a.png", 100, 100)
    samples = written(NoisyPictures(str(tmp_path)), tmp_path / "out")
    assert stored(samples, 0).min() < 0 and stored(samples, 0).max() > 255
    assert samples.unnormalised == ("image",)


def test_noise_is_equal_for_equal_seeds_and_differs_by_seed_and_by_picture(tmp_path):
    for name in ("a.png", "b.png"):
        save(tmp_path / "data" / name)
    reader = NoisyPictures(str(tmp_path / "data"))
    first, again, other = (written(reader, tmp_path / str(n), seed=seed) for n, seed in enumerate((1, 1, 2)))
    assert first.sha256 == again.sha256
    assert not np.array_equal(stored(first, 0), stored(other, 0))
    assert not np.array_equal(stored(first, 0), stored(first, 1))


def test_truth_of_a_noisy_picture_is_the_clean_one_in_its_own_size(tmp_path):
    first, second = save(tmp_path / "a.png", 12, 8), save(tmp_path / "b.png", 8, 12, seed=1)
    found = truths(written(NoisyPictures(str(tmp_path)), tmp_path / "out", multiple=16))
    assert [truth.tolist() for truth in found] == [each.transpose(2, 0, 1).tolist() for each in (first, second)]


def test_a_grey_model_has_grey_truths_and_a_bgr_model_has_rgb_ones(tmp_path):
    clean = save(tmp_path / "a.png", mode="L")
    grey = written(NoisyPictures(str(tmp_path), sigma=0.0), tmp_path / "1", channels="grey")
    assert np.array_equal(truths(grey)[0], clean[None])
    assert np.array_equal(stored(grey, 0), clean[None])
    colour = save(tmp_path / "a.png")
    bgr = written(NoisyPictures(str(tmp_path), sigma=0.0), tmp_path / "2", channels="bgr")
    assert np.array_equal(truths(bgr)[0], colour.transpose(2, 0, 1))
    assert np.array_equal(stored(bgr, 0), colour.transpose(2, 0, 1)[::-1])


def test_pairs_are_stored_as_they_are_with_the_target_as_truth(tmp_path):
    large = pair_up(tmp_path)
    samples = written(PicturePairs(str(tmp_path), factor=2), tmp_path / "out")
    assert stored(samples, 0).dtype == np.uint8 and stored(samples, 0).shape == (3, 4, 6)
    assert np.array_equal(truths(samples)[0], large.transpose(2, 0, 1))
    assert samples.unnormalised == () and samples.substitute is None


def test_both_pictures_of_a_pair_are_part_of_the_content(tmp_path):
    pair_up(tmp_path)
    content = PicturePairs(str(tmp_path), factor=2).content(request(), hash_files)
    assert content == {"ids": ["a"], "truths": [None], "sha256": ["data/a.png"], "targets": ["target/a.png"]}


def test_limit_takes_the_first_pictures_and_says_if_there_are_fewer(tmp_path):
    for name in ("a.png", "b.png"):
        pair_up(tmp_path, name=name)
    reader = PicturePairs(str(tmp_path), factor=2)
    assert written(reader, tmp_path / "1", limit=1).count == 1
    assert "only 2 pictures" in written(reader, tmp_path / "2", limit=9).note


def test_a_picture_without_its_pair_is_named(tmp_path):
    pair_up(tmp_path)
    (tmp_path / "target" / "a.png").rename(tmp_path / "target" / "b.png")
    assert "1 of the 1 pictures" in problem(PicturePairs(str(tmp_path))) and "a.png" in problem(
        PicturePairs(str(tmp_path))
    )


def test_suffixes_pair_pictures_of_other_names_and_leave_out_further_inputs(tmp_path):
    save(tmp_path / "data" / "0801x2.png", 6, 4)
    save(tmp_path / "data" / "0801x3.png", 4, 2)
    large = save(tmp_path / "target" / "0801.png", 12, 8)
    reader = PicturePairs(str(tmp_path), factor=2, input_suffix="x2.png", target_suffix=".png")
    assert np.array_equal(truths(written(reader, tmp_path / "out"))[0], large.transpose(2, 0, 1))
    assert reader.content(request(), hash_files)["targets"] == ["target/0801.png"]


def test_pairs_may_be_of_other_formats(tmp_path):
    save(tmp_path / "data" / "a.bmp")
    large = save(tmp_path / "target" / "a.png", seed=1)
    samples = written(PicturePairs(str(tmp_path), target_suffix=".png"), tmp_path / "out")
    assert np.array_equal(truths(samples)[0], large.transpose(2, 0, 1))


def test_a_true_picture_of_another_name_is_answered_with_the_suffixes(tmp_path):
    save(tmp_path / "data" / "0801x2.png")
    save(tmp_path / "target" / "0801.png")
    (found,) = PicturePairs(str(tmp_path)).validate(request())
    assert f"there is no {tmp_path}/target/0801x2.png" in found.message
    assert "+dataset.reader.target_suffix=.png" in found.fix


def test_a_pair_of_another_scale_than_the_model_is_named(tmp_path):
    pair_up(tmp_path)
    assert "a.png is 12x8 pixels" in problem(PicturePairs(str(tmp_path), factor=4))


@pytest.mark.parametrize("missing", ["data", "target"])
def test_missing_folder_of_pairs_is_named(tmp_path, missing):
    pair_up(tmp_path)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    assert f"there is no folder {tmp_path / missing}" in problem(PicturePairs(str(tmp_path), factor=2))


def test_shrunk_picture_is_pils_bicubic_of_the_picture_cut_to_a_multiple(tmp_path):
    pixels = save(tmp_path / "a.png", 13, 8)
    samples = written(ShrunkPictures(str(tmp_path), factor=2), tmp_path / "out")
    cut = Image.fromarray(pixels[:, :12])
    assert np.array_equal(truths(samples)[0], np.asarray(cut).transpose(2, 0, 1))
    small = np.asarray(cut.resize((6, 4), Image.Resampling.BICUBIC))
    assert np.array_equal(stored(samples, 0), small.transpose(2, 0, 1))


def test_pictures_too_small_to_be_shrunk_are_named(tmp_path):
    save(tmp_path / "a.png", 12, 3)
    assert "12x3 pixels, too small to be shrunk 4 times" in problem(ShrunkPictures(str(tmp_path), factor=4))


@pytest.mark.parametrize("reader", [NoisyPictures, PicturePairs, ShrunkPictures])
def test_no_root_is_a_problem(reader):
    assert problem(reader()) == "dataset.root is not set"


@pytest.mark.parametrize(
    ("reader", "name"),
    [(NoisyPictures(sigma=-1.0), "sigma"), (PicturePairs(factor=0), "factor"), (ShrunkPictures(factor=0), "factor")],
)
def test_arguments_out_of_bounds_are_named(reader, name):
    assert any(f"dataset.reader.{name} is" in problem.message for problem in reader.validate(request()))


@pytest.mark.parametrize(
    "geometry",
    [
        {"fit": "shorter", "resize": 4, "crop": 4},
        {"fit": "shorter", "size": (4, 4)},
        {"fit": "stretch", "size": (8, 8)},
        {"fit": "inside", "size": (8, 8)},
    ],
)
def test_preprocessing_that_resizes_or_cuts_is_refused(tmp_path, geometry):
    save(tmp_path / "a.png")
    assert "pixel by pixel" in problem(NoisyPictures(str(tmp_path)), **geometry)


def test_unreadable_picture_is_named_before_anything_is_written(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    assert "a.png is not a readable picture" in problem(NoisyPictures(str(tmp_path)), takes=(8, 12))


def test_stored_bytes_count_the_truths(tmp_path):
    pair_up(tmp_path)
    assert PicturePairs(str(tmp_path), factor=2).stored_bytes(request()) == 3 * 4 * 6 + 3 * 8 * 12


def test_noisy_rows_are_counted_in_the_networks_type(tmp_path):
    save(tmp_path / "a.png", 12, 8)
    assert NoisyPictures(str(tmp_path)).stored_bytes(request()) == 3 * 8 * 12 * (4 + 1)


def test_picture_that_does_not_fit_is_refused(tmp_path):
    save(tmp_path / "a.png", 12, 8)
    with pytest.raises(DataError, match=r"a\.png"):
        (tmp_path / "out").mkdir()
        NoisyPictures(str(tmp_path)).write(request(takes=(4, 4)), tmp_path / "out", None)

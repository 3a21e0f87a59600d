import numpy as np
import pytest

from runner.core import FREE, TensorSpec
from runner.data import Geometry, Request, storage
from runner.tasks.restoration import SyntheticTextures

READER = SyntheticTextures(count=3, width=24, height=16, factor=2)


def request(limit=None, seed=0, channels="rgb", size=(FREE, FREE), **geometry):
    tensor = TensorSpec("image", "float32", (1 if channels == "grey" else 3, *size))
    return Request((tensor,), Geometry(fit="none", channels=channels, **geometry), limit, seed)


def write(out, reader=READER, **options):
    out.mkdir()
    assert reader.validate(request(**options)) == []
    return reader.write(request(**options), out, None)


def test_truth_is_larger_by_the_factor_and_the_set_is_called_a_substitute(tmp_path):
    samples = write(tmp_path / "out", seed=3)
    assert np.load(samples.path / "image.npy").shape == (3, 3, 16, 24)
    assert {row.truth.shape for row in storage.facts(samples.path)} == {(3, 32, 48)}
    assert samples.substitute == "synthetic textures generated from seed 3"
    assert samples.unnormalised == ()


def test_at_factor_1_the_input_is_the_truth_with_noise(tmp_path):
    samples = write(tmp_path / "out", SyntheticTextures(count=2, width=64, height=48, sigma=10.0), channels="grey")
    truths = np.stack([row.truth for row in storage.facts(samples.path)])
    assert (np.load(samples.path / "image.npy") - truths).std() == pytest.approx(10, rel=0.05)
    assert samples.unnormalised == ("image",)


def test_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path):
    first, again, other = (write(tmp_path / str(n), seed=seed) for n, seed in enumerate((1, 1, 2)))
    assert first.sha256 == again.sha256 != other.sha256


def test_pictures_do_not_depend_on_the_limit(tmp_path):
    few, all_of_them = write(tmp_path / "1", limit=1), write(tmp_path / "2")
    assert np.array_equal(np.load(few.path / "image.npy")[0], np.load(all_of_them.path / "image.npy")[0])


def test_pictures_larger_than_the_network_takes_are_refused_early():
    (problem,) = READER.validate(request(size=(8, 8)))
    assert "24x16" in problem.message and "dataset.reader.width" in problem.fix


def test_pictures_that_would_be_resized_are_refused_early():
    (problem,) = READER.validate(request(resize=8))
    assert "pixel by pixel" in problem.message


def test_arguments_out_of_bounds_are_named():
    wrong = SyntheticTextures(count=0, width=0, height=0, factor=0, sigma=-1.0)
    names = [problem.message.split()[0] for problem in wrong.validate(request())]
    assert names == [f"dataset.reader.{name}" for name in ("count", "width", "height", "factor", "sigma")]

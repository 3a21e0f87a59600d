import zipfile

import numpy as np
import pytest

from runner.core import FREE, DataError, TensorSpec
from runner.data.preprocess import Normalisation
from runner.debug import inputs


def test_each_random_input_is_its_own() -> None:
    wanted = {"a": ("float32", (2, None)), "b": ("float32", (2, 1)), "i": ("int64", (50,)), "m": ("bool", (50,))}
    found = inputs.random_arrays(wanted)
    assert found["a"].shape == (2, 1)
    assert not np.array_equal(found["a"], found["b"])
    assert (found["i"].dtype, found["i"].min() >= 0, found["i"].max() < 128) == (np.int64, True, True)
    assert set(found["m"].tolist()) == {True, False}
    np.testing.assert_array_equal(found["a"], inputs.random_arrays(wanted)["a"])


def test_aipp_takes_the_pictures_that_the_network_takes_normalised() -> None:
    normalisation = Normalisation(1.0, (10.0, 20.0, 30.0), (2.0,))
    found = inputs.of_model([TensorSpec("image", "float32", (3, 4, 5))], 2, inputs.RANDOM, normalisation)
    picture, taken = found.compiled["image"], found.network["image"]
    assert (picture.dtype, picture.shape, taken.dtype, taken.shape) == (
        np.uint8,
        (2, 4, 5, 3),
        np.float32,
        (2, 3, 4, 5),
    )
    np.testing.assert_allclose(taken, (np.moveaxis(picture, -1, 1) - np.array([10, 20, 30.0])[:, None, None]) / 2)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file"),
        (b"", "is no .npz file"),
        (b"PK\x03\x04 broken", "is no .npz file"),
        (b"text", "is no .npz"),
    ],
)
def test_a_file_that_is_no_npz_is_refused(tmp_path, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataError, match=told):
        inputs.of_file(tmp_path / "x.npz", {"x": ("float32", (1,))})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"text", "holds x, no array"),
        (b"\x93NUMPY\x01\x00\x03\x00((\n", "is no .npz file"),
        (None, "encrypted"),
    ],
)
def test_a_member_that_is_no_array_is_refused(tmp_path, content: bytes | None, told: str) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content or b"")
    if content is None:  # the lowest bit of the flags in the member's header and in the directory
        packed = bytearray(path.read_bytes())
        packed[6] |= 1
        packed[packed.rfind(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(packed)
    with pytest.raises(DataError, match=told):
        inputs.of_file(path, {"x": ("float32", (1,))})


def test_a_single_array_is_refused(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(1))
    with pytest.raises(DataError, match="a single array"):
        inputs.of_file(tmp_path / "x.npy", {"x": ("float32", (1,))})


def test_free_sizes_are_an_examples_and_a_files_may_be_any(tmp_path) -> None:
    free = [TensorSpec("image", "float32", (1, FREE, FREE))]
    assert inputs.of_model(free, 2, inputs.RANDOM, None).network["image"].shape == (2, 1, 64, 64)
    np.savez(tmp_path / "x.npz", image=np.zeros((2, 1, 40, 24), np.float32))
    assert inputs.of_model(free, 2, str(tmp_path / "x.npz"), None).network["image"].shape == (2, 1, 40, 24)
